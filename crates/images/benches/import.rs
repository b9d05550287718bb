//! Importing the tar of a root filesystem beside `tar -x` of the same, in turns, on the same disk.
//!
//! ```text
//! cargo bench -p contree-images --bench import -- ROOTFS.tar[.gz|.zst] [FOLDER]
//! ```
//! FOLDER is where both unpack, by default the temporary folder. Prints the medians of eleven
//! rounds and their ratio. The import includes reading the archive a first time for its digest,
//! and what `tar` does not do: digests, and measuring the result. Run as root.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contree_api::LayerId;
use contree_images::Store;
use contree_images::import::{ImportConfig, Importer, Input};

const ROUNDS: usize = 11;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some(archive) = arguments.first().map(PathBuf::from) else {
        println!("usage: cargo bench -p contree-images --bench import -- ROOTFS.tar [FOLDER]");
        return;
    };
    let place = arguments
        .get(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let scratch = tempfile::tempdir_in(place).expect("a folder to unpack in");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let store = Store::open(&scratch.path().join("store")).expect("a store");
    let importer = Importer::new(store.clone(), ImportConfig::default());

    let (mut tar, mut import) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let folder = scratch.path().join(format!("tar-{round}"));
        tar.push(timed(|| unpack_with_tar(&archive, &folder)));
        std::fs::remove_dir_all(&folder).expect("what tar made can be removed");
        let layer = LayerId::new();
        import.push(timed(|| {
            runtime.block_on(async {
                let file = File::open(&archive).expect("the archive");
                let resolved = importer
                    .resolve(Input::Archive(file))
                    .await
                    .expect("an image");
                importer
                    .fetch(resolved, layer, Arc::new(|_| {}))
                    .await
                    .expect("an import");
            });
        }));
        store
            .remove_layer(layer)
            .expect("what was imported can be removed");
        while std::fs::read_dir(scratch.path().join("store/trash"))
            .expect("the trash")
            .next()
            .is_some()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let (tar, import) = (median(tar), median(import));
    println!("tar -x  {:>7.1} ms", tar.as_secs_f64() * 1e3);
    println!("import  {:>7.1} ms", import.as_secs_f64() * 1e3);
    println!("ratio   {:>7.2}", import.as_secs_f64() / tar.as_secs_f64());
}

fn unpack_with_tar(archive: &Path, folder: &Path) {
    std::fs::create_dir(folder).expect("a folder for tar");
    let done = Command::new("tar")
        .args([
            "--numeric-owner",
            "-p",
            "--xattrs",
            "--xattrs-include=*",
            "-xf",
        ])
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .status()
        .expect("tar");
    assert!(done.success(), "tar fails");
}

/// Everything earlier is on disk before the clock starts.
fn timed(work: impl FnOnce()) -> Duration {
    rustix::fs::sync();
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
