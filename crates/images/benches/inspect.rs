//! Looking into an image: searches beside `rg` on the same tree, in turns; lists and files.
//!
//! ```text
//! cargo bench -p contree-images --bench inspect -- ROOTFS.tar[.gz|.zst] [FOLDER]
//! ```
//! FOLDER is where the image is made, by default the temporary folder. Prints the medians of
//! [`ROUNDS`] rounds and the ratio to `rg --json --hidden --no-ignore`, which searches the layer's
//! own folder as fast as it can, in any order; our searches are in order, and what is measured
//! includes the answer's JSON. `rg` pays for starting a process (some milliseconds), which is told
//! by a search of an empty folder.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contree_api::LayerId;
use contree_api::inspect::GrepQuery;
use contree_images::import::{ImportConfig, Importer, Input};
use contree_images::{Stop, Store, View, layout};

const ROUNDS: usize = 21;
const PATTERNS: &[&str] = &[
    "PermitRootLogin",
    "Copyright.*Free Software",
    "(?i)deprecated",
    r"\b[A-Z]{4,}_[a-z]+\b",
    r"\w+ing\s+\w+ed\b",
];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some(archive) = arguments.first().map(PathBuf::from) else {
        println!("usage: cargo bench -p contree-images --bench inspect -- ROOTFS.tar [FOLDER]");
        return;
    };
    let place = arguments
        .get(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let scratch = tempfile::tempdir_in(place).expect("a folder for the image");
    let store = Store::open(&scratch.path().join("store")).expect("a store");
    let layer = imported(&store, &archive);
    let view = store.view(&[layer]);
    let folder = store.root().join(layout::layer(layer));

    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).expect("an empty folder");
    let start = median(|| {
        ripgrep(&empty, "x");
    });
    println!(
        "{:<34} {:>9} {:>9} {:>7}",
        "search", "ours, ms", "rg, ms", "ratio"
    );
    println!(
        "{:<34} {:>9} {:>9.2}",
        "nothing (what starting rg takes)",
        "",
        millis(start)
    );
    for pattern in PATTERNS {
        let (mut ours, mut theirs, mut found) = (Vec::new(), Vec::new(), (0, 0));
        for _ in 0..ROUNDS {
            ours.push(timed(|| found.0 = search(&view, pattern)));
            theirs.push(timed(|| found.1 = ripgrep(&folder, pattern)));
        }
        let (ours, theirs) = (middle(ours), middle(theirs));
        println!(
            "{pattern:<34} {:>9.2} {:>9.2} {:>7.2}   {} and {} matches",
            millis(ours),
            millis(theirs),
            ours.as_secs_f64() / theirs.as_secs_f64(),
            found.0,
            found.1,
        );
    }

    let small = tree_of_200(&store);
    let view_of_200 = store.view(&[small]);
    println!("\n{:<34} {:>9}", "of 200 entries", "p50, ms");
    let list = median(|| {
        let list = view_of_200.list("/folder").expect("a list");
        black_box(serde_json::to_vec(&list).expect("JSON"));
    });
    println!("{:<34} {:>9.3}", "list", millis(list));
    let read = median(|| {
        let mut opened = view_of_200.open("/folder/100").expect("a file");
        let mut content = Vec::new();
        opened.file.read_to_end(&mut content).expect("its content");
        black_box(content);
    });
    println!("{:<34} {:>9.3}", "read", millis(read));
    let grep = median(|| {
        black_box(search(&view_of_200, "line 7"));
    });
    println!("{:<34} {:>9.3}", "grep", millis(grep));

    let mut size = 0;
    let archived = median(|| {
        let mut archive = view.archive("/").expect("an archive");
        size = std::io::copy(&mut archive, &mut std::io::sink()).expect("all of it");
    });
    let tar = median(|| {
        // To a pipe: GNU tar reads nothing when it sees that it writes to /dev/null.
        let mut tar = Command::new("tar")
            .args([
                "--create",
                "--format=pax",
                "--xattrs",
                "--sort=name",
                "--directory",
            ])
            .arg(&folder)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar starts");
        let mut stdout = tar.stdout.take().expect("a pipe");
        std::io::copy(&mut stdout, &mut std::io::sink()).expect("all of it");
        tar.wait().expect("tar ends");
    });
    println!(
        "\narchive of / ({} MB): {:.0} ms, tar --create {:.0} ms, ratio {:.2}",
        size >> 20,
        millis(archived),
        millis(tar),
        archived.as_secs_f64() / tar.as_secs_f64()
    );
}

fn imported(store: &Store, archive: &Path) -> LayerId {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let importer = Importer::new(store.clone(), ImportConfig::default());
    let layer = LayerId::new();
    runtime.block_on(async {
        let input = Input::Archive(File::open(archive).expect("the archive"));
        let resolved = importer.resolve(input).await.expect("an image");
        importer
            .fetch(resolved, layer, Arc::new(|_| {}))
            .await
            .expect("an import");
    });
    layer
}

fn tree_of_200(store: &Store) -> LayerId {
    let staged = store.stage().expect("a folder");
    let folder = staged
        .tree()
        .create_dirs(b"folder", 0o755)
        .expect("a folder");
    for number in 0..200 {
        let name = number.to_string();
        let mut file = folder.create_file(name.as_bytes(), 0o644).expect("a file");
        let lines: String = (0..50).map(|line| format!("line {line}\n")).collect();
        std::io::Write::write_all(&mut file, lines.as_bytes()).expect("its content");
    }
    let layer = LayerId::new();
    staged.commit(layer).expect("a layer");
    layer
}

fn search(view: &View, pattern: &str) -> usize {
    let query = GrepQuery {
        patterns: vec![pattern.to_owned()],
        max_total: Some(10_000),
        ..GrepQuery::default()
    };
    let stop = Stop::at(Instant::now() + Duration::from_secs(60));
    let result = view.grep(&query, &stop).expect("a search");
    black_box(serde_json::to_vec(&result).expect("JSON"));
    result.matches.len()
}

fn ripgrep(folder: &Path, pattern: &str) -> usize {
    let output = Command::new("rg")
        .args([
            "--json",
            "--no-config",
            "--hidden",
            "--no-ignore",
            "--regexp",
            pattern,
            "./",
        ])
        .current_dir(folder)
        .output()
        .expect("rg starts");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    lines
        .filter(|line| line.starts_with(b"{\"type\":\"match\""))
        .count()
}

fn median(mut work: impl FnMut()) -> Duration {
    middle((0..ROUNDS).map(|_| timed(&mut work)).collect())
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
