//! A pack that was refused leaves nothing behind that could be taken for an object of the repository.

use std::sync::Arc;

use packhouse_object::{ObjectId, PackFileWriter, Received, RefName};
use packhouse_repo::{CommandStatus, Push, RefChange, RefPolicy};

use crate::drops;
use crate::hosted::{NEVER, Place, check_complete, new_org, new_repo, put};

struct NoForce;

impl RefPolicy for NoForce {
    fn allows(&self, _: &RefName, change: RefChange) -> Result<(), String> {
        match change {
            RefChange::Force => Err("no".to_owned()),
            _ => Ok(()),
        }
    }
}

fn push(name: &str, old: Option<ObjectId>, new: ObjectId, received: Option<Received>) -> Push {
    Push {
        policy: Arc::new(NoForce),
        ..drops::push(name, old, new, received)
    }
}

#[tokio::test]
async fn no_ref_can_be_put_on_what_was_refused() {
    for place in [Place::local(), Place::with_distant_bucket()] {
        let node = place.node("a", NEVER).await;
        let org = new_org(&node).await;
        let repo = new_repo(&node, org, "r").await;
        let main = put(&repo, "main", "f", "text").await;
        let commit = drops::commit_of(main.tree, Vec::new(), "on its own");
        let mut writer = PackFileWriter::create(place.folder.path()).unwrap();
        writer.add_new(&commit).unwrap();
        let received = Received::Large(writer.finish().unwrap());
        // Whether the branch moves forward is asked of the commit, which is read for that.
        let refused = push("main", Some(main.commit), commit.id, Some(received));
        let status = repo.receive(refused).await.unwrap();
        assert!(
            matches!(&status[..], [CommandStatus::Rejected(_)]),
            "{status:?}"
        );
        let by_name = push("side", None, commit.id, None);
        let status = repo.receive(by_name).await.unwrap();
        assert!(
            matches!(&status[..], [CommandStatus::Rejected(_)]),
            "{status:?}"
        );
        check_complete(&repo).await;
        node.shutdown().await;
    }
}
