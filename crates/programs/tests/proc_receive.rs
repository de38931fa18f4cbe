//! The `proc-receive` hook: what clients are told of what it does, well or not, by itself or in one transaction.

use crate::doors::World;

/// What the hook begins with: it reads and answers the version.
const GREETING: &str = r#"
    pkt() { printf '%04x%s' $((${#1} + 4)) "$1"; }
    line() {
        n=$(dd bs=1 count=4 2> /dev/null)
        case $n in 0000|'') return 1;; esac
        dd bs=1 count=$((0x$n - 4)) > /dev/null 2>&1
    }
    while line; do :; done
    pkt version=1; printf 0000
    while line; do :; done
"#;

/// Pushes two refs that are the hook's and one that is not, each by itself and then together.
fn push(world: &World, case: &str) -> [Vec<String>; 2] {
    let work = crate::git::Git::at(world.path("work"));
    ["--no-atomic", "--atomic"].map(|how| {
        let plain = format!("main:refs/heads/plain{how}-{case}");
        let special = ["main:refs/for/a", "main:refs/for/b"];
        let (_, stdout, _) = world.push(&work, &[how, "URL", special[0], special[1], &plain]);
        stdout
    })
}

fn has(stdout: &[String], part: &str) -> bool {
    stdout.iter().any(|line| line.contains(part))
}

#[test]
fn each_ref_is_told_what_git_tells_it() {
    let world = World::new();
    let work = world.work();
    assert!(world.push(&work, &["URL", "main"]).0);
    world.set("receive.procReceiveRefs", "refs/for");
    let cases: [(&str, &[&str]); 15] = [
        ("both", &["ok refs/for/a", "ok refs/for/b"]),
        ("one", &["ok refs/for/a", "ng refs/for/b no"]),
        ("reasonless", &["ok refs/for/a", "ng refs/for/b"]),
        ("silent", &["ok refs/for/a"]),
        (
            "elsewhere",
            &[
                "ok refs/for/a",
                "option refname refs/for/x",
                "ok refs/for/b",
            ],
        ),
        (
            "unknown",
            &["ok refs/for/a", "ok refs/for/b", "ok refs/for/c"],
        ),
        (
            "unexpected",
            &[
                "ok refs/for/a",
                "ok refs/for/b",
                "ok refs/heads/plain--no-atomic-unexpected",
            ],
        ),
        ("bad-status", &["ok refs/for/a", "yes refs/for/b"]),
        ("incomplete", &["ok refs/for/a", "ok refs/for/b", "ok"]),
        (
            "lost",
            &[
                "option refname x",
                "option refname y",
                "ok refs/for/a",
                "ok refs/for/b",
            ],
        ),
        (
            "changed",
            &[
                "ng refs/for/a no",
                "ok refs/for/a",
                "ok refs/for/b",
                "ng refs/for/b not either",
            ],
        ),
        ("nothing", &[]),
        (
            "twice",
            &[
                "ok refs/for/a",
                "option refname refs/x/1",
                "ok refs/for/a",
                "option refname refs/x/2",
                "ok refs/for/b",
            ],
        ),
        (
            "fallen",
            &["ok refs/for/a", "option fall-through", "ok refs/for/b"],
        ),
        (
            "all-fallen",
            &[
                "ok refs/for/a",
                "option fall-through",
                "ok refs/for/b",
                "option fall-through",
            ],
        ),
    ];
    for (case, lines) in cases {
        let lines: String = lines.iter().map(|line| format!("pkt '{line}'\n")).collect();
        world.hook("proc-receive", &format!("{GREETING}\n{lines}\nprintf 0000"));
        let [alone, together] = push(&world, case);
        assert!(has(&alone, "\t[new branch]"), "{case} {alone:?}");
        if case == "one" {
            assert!(!has(&together, "atomic push failure"), "{together:?}");
        }
    }
}

#[test]
fn a_hook_that_fails_is_told_of() {
    let world = World::new();
    let work = world.work();
    assert!(world.push(&work, &["URL", "main"]).0);
    world.set("receive.procReceiveRefs", "refs/for");
    let [alone, _] = push(&world, "none");
    assert!(has(&alone, "(fail to run proc-receive hook)"), "{alone:?}");
    let version = GREETING.replace("version=1", "version=2");
    for (case, script) in [
        ("gone", "exit 0".to_owned()),
        ("version", version),
        ("speechless", format!("{GREETING}\nexit 0")),
        (
            "unhappy",
            format!("{GREETING}\npkt 'ok refs/for/a'; pkt 'ok refs/for/b'; printf 0000; exit 1"),
        ),
        ("cut-off", format!("{GREETING}\npkt 'ok refs/for/a'")),
    ] {
        world.hook("proc-receive", &script);
        push(&world, case);
    }
    world.program("proc-receive", "#!/no/such/interpreter\n");
    push(&world, "not-started");
}

#[test]
fn what_a_hook_did_falls_with_the_rest_of_an_atomic_push() {
    let world = World::new();
    let work = world.work();
    assert!(world.push(&work, &["URL", "main"]).0);
    world.set("receive.procReceiveRefs", "refs/for");
    let report = "pkt 'ok refs/for/a'; pkt 'ok refs/for/b'; printf 0000";
    world.hook("proc-receive", &format!("{GREETING}\n{report}"));
    world.hook("update", "exit 1");
    let [_, together] = push(&world, "declined");
    assert!(has(&together, "(hook declined)"), "{together:?}");
    assert!(has(&together, "(atomic push failure)"), "{together:?}");
}
