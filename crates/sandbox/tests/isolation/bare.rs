//! Sandboxes need nothing from the image, and the program that makes them nothing from the host.

use std::path::Path;
use std::process::Command;

use crate::sandboxes::{World as Sandboxes, process};

const PROGRAM: &str = r#"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("hello {} on {}", arguments.join(" "), std::fs::read_to_string("/etc/hosts").unwrap().lines().count());
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn privileged_an_image_of_one_program_runs() {
    let sandboxes = Sandboxes::new().await;
    let layer = sandboxes.store().join("layers/bare");
    std::fs::create_dir(&layer).unwrap();
    let source = sandboxes.store().join("program.rs");
    std::fs::write(&source, PROGRAM).unwrap();
    let built = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .arg(layer.join("program"))
        .arg(&source)
        .status()
        .unwrap();
    assert!(built.success());
    let mut job = sandboxes.job("");
    job.lowers = vec!["layers/bare".into(), "layers/skeleton".into()];
    job.process = process(&["/program", "there"]);
    let outcome = sandboxes.run(job).await.expect("a run");
    assert_eq!(outcome.ok(), "hello there on 2\n");
    sandboxes.end().await;
}

#[test]
fn the_installed_program_needs_no_library() {
    let Some(folder) = std::env::var_os("CONTREE_TEST_BIN") else {
        println!("not run: CONTREE_TEST_BIN names no folder with built programs");
        return;
    };
    let program = std::fs::read(Path::new(&folder).join("contree-sandbox")).expect("the program");
    assert_eq!(&program[..5], b"\x7fELF\x02", "a 64-bit program");
    let number = |at: usize, length: usize| {
        let bytes = program[at..at + length].iter().rev();
        bytes.fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    // Program headers: where they begin, how long each is, how many there are.
    let (begin, length, count) = (number(32, 8), number(54, 2), number(56, 2));
    const INTERPRETER: usize = 3;
    let kinds: Vec<usize> = (0..count)
        .map(|index| number(begin + index * length, 4))
        .collect();
    assert!(
        !kinds.contains(&INTERPRETER),
        "it asks for a dynamic loader: {kinds:?}"
    );
}
