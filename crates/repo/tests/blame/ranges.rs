//! Ranges, as `git blame -L` understands or refuses them.

use super::world::{Chance, Files, World};

#[test]
fn ranges_are_those_of_git() {
    let mut world = World::new();
    let text = "fn one() {\n    a+b;\n}\n\nfn two() {\n    a*b;\n}\n// [x]\nüber\n\nlast (line)";
    let files = Files::from([("f".to_owned(), ("100644", text.as_bytes().to_vec()))]);
    let tip = world.commit(&files, &[], 1_600_000_000);
    world.flush();
    let single = [
        "1",
        "3,5",
        "5,3",
        "11",
        "12",
        "3,99",
        "99",
        "2,+3",
        "5,-2",
        "1,-5",
        "4,+1",
        "4,+0",
        "4,-0",
        "0",
        "0,3",
        "-1",
        "+3",
        "3,",
        ",3",
        ",+3",
        ",-1",
        " 2, 4",
        "2,x",
        "x",
        "2,4x",
        "2,+x",
        "2,+",
        "/fn/",
        "/fn/,/}/",
        "/fn/,+2",
        "/fn two/,$",
        "^/fn/,3",
        "/}/,/}/",
        "/nothing/",
        "/(/,+1",
        "/a*b/,+1",
        "/a+b/,+1",
        "/a\\+b/,+1",
        "/a\\*b/,+1",
        "/^$/,+1",
        "/^}$/,+1",
        "/[[]x[]]/,+1",
        "/x\\|last/,+1",
        "/\\(fn\\) two/,+1",
        "/fn \\(one\\|two\\)/,+1",
        "/ü/,+1",
        "/./,+1",
        "/\\//,+1",
        "/l\\{1\\}a/,+1",
        "/fn/,/fn/",
        "3,/fn/",
        "/last/,/x/",
        "/unfinished",
        "/[/",
        "/\\(/",
        "",
        "18446744073709551616",
        "2,99999999999999999999",
        ":fn",
        ":one",
        ":two",
        "^:two",
        ":last",
        ":(line)$",
        ":^fn t",
        ":fn \\(two\\|none\\)",
        ":a+b",
        ":}",
        ":über",
        ":nothing",
        ":",
        "^:",
        ":fn:",
        ":fn:f",
        ":f\\:n",
        ":fn,5",
        ":[",
        ":\\(",
    ];
    let mut specs: Vec<Vec<String>> = single.iter().map(|spec| vec![(*spec).to_owned()]).collect();
    for several in [
        &["1,2", "4,5"][..],
        &["4,5", "1,4"],
        &["/fn/,+1", "/fn/,+1"],
        &["/fn/,+1", "/fn/,+1", "/fn/,+1"],
        &["11", "/fn/"],
        &["11", "^/fn/,+1"],
        &["1,3", "2,5", "9,9"],
        &["1,1", "nonsense"],
        &[":fn", ":fn"],
        &[":fn", ":fn", ":fn"],
        &["11", ":fn"],
        &["11", "^:fn"],
        &["2", ":fn"],
    ] {
        specs.push(several.iter().map(|spec| (*spec).to_owned()).collect());
    }
    for ranges in specs {
        let expected = world.git_lines(tip, "f", &ranges, false);
        let found = world.blame(tip, "f", &ranges, false);
        match expected {
            Ok(expected) => {
                assert!(found.is_ok(), "{ranges:?}: {}", found.unwrap_err());
                assert_eq!(
                    world.lines(tip, "f", &ranges, false),
                    expected,
                    "{ranges:?}"
                );
            }
            Err(complaint) => assert!(found.is_err(), "{ranges:?}: {complaint}"),
        }
    }
}

#[test]
fn some_lines_of_long_histories() {
    for seed in 1000..1006 {
        let mut chance = Chance::new(seed);
        let mut world = World::new();
        let (tip, files) = chance.history(&mut world, 30);
        for (path, (_, content)) in &files {
            let lines = content.split_inclusive(|&byte| byte == b'\n').count();
            if lines < 2 {
                continue;
            }
            let ranges: Vec<String> = (0..1 + chance.below(4))
                .map(|_| format!("{},+{}", 1 + chance.below(lines), 1 + chance.below(9)))
                .collect();
            for moves in [false, true] {
                let expected = world.git_lines(tip, path, &ranges, moves).unwrap();
                let found = world.lines(tip, path, &ranges, moves);
                assert_eq!(found, expected, "seed {seed} {path} {ranges:?} {moves}");
            }
        }
    }
}
