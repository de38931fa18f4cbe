//! The quota of an organisation, when several of its repositories are written to at once.

use packhouse_catalog::Catalog;
use packhouse_repo::{CommitError, Hosted, HostedOptions, QuotaOf, RepoError};

use crate::hosted::{NEVER, Place, new_org, new_repo, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_beside_each_other_keep_the_quota_of_their_organisation() {
    const QUOTA: u64 = 100_000;
    const LANES: usize = 16;
    let place = Place::local();
    let catalog = Catalog::open(&place.catalog).await.unwrap();
    let (cache, temp) = (
        place.folder.path().join("cache"),
        place.folder.path().join("tmp"),
    );
    let mut options = HostedOptions::new(catalog, place.bucket.clone(), cache, temp);
    options.fold = NEVER;
    options.org_bytes = Some(QUOTA);
    let node = Hosted::open(options).unwrap();
    let org = new_org(&node).await;
    let mut repos = Vec::new();
    for lane in 0..LANES {
        repos.push(new_repo(&node, org, &format!("repo-{lane}")).await);
    }
    let (mut written, mut refused) = (0, 0);
    for round in 0..2_u8 {
        let commits = repos.iter().map(|repo| {
            let repo = repo.clone();
            let content = vec![b'0' + round; 20_000];
            tokio::spawn(async move { repo.commit(request("main", "f", content)).await })
        });
        for commit in commits.collect::<Vec<_>>() {
            match commit.await.unwrap() {
                Ok(_) => written += 1,
                Err(CommitError::Repo(RepoError::OverQuota(over))) => {
                    assert_eq!(over.of, QuotaOf::Organisation);
                    refused += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let used = node.catalog().org_bytes(org).await.unwrap();
        assert!(used <= QUOTA, "{used} bytes of {QUOTA}");
    }
    assert_eq!(written, 4, "each takes a little more than 20000 bytes");
    assert_eq!(refused, 2 * LANES - 4);
    node.shutdown().await;
}
