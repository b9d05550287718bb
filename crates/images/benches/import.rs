//! Importing the tar of a root filesystem beside `tar -x` of the same, in turns, on the same disk.
//!
//! ```text
//! cargo bench -p contree-images --bench import -- ROOTFS.tar[.gz|.zst] [FOLDER [docker://localhost:PORT/NAME]]
//! ```
//! FOLDER is where both unpack, by default the temporary folder. With the name of an image, that
//! is imported instead; it should have the archive as its layer. Prints the medians of five
//! rounds and their ratio; that of the CPU time also means something on a busy machine. The import includes reading the archive a first time for its digest,
//! and what `tar` does not do: digests, and measuring the result. Run as root.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contree_api::LayerId;
use contree_images::Store;
use contree_images::import::{ImportConfig, Importer, Input, Source};

const ROUNDS: usize = 5;

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
    let config = ImportConfig {
        allowed: vec!["localhost".parse().expect("a host")],
        ..ImportConfig::default()
    };
    let importer = Importer::new(store.clone(), config);
    let input = || match arguments.get(2).map(|url| Source::parse(url)) {
        Some(Ok(Source::Registry(reference))) => Input::Registry {
            reference,
            credentials: None,
        },
        _ => Input::Archive(File::open(&archive).expect("the archive")),
    };

    let (mut tar, mut import) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let folder = scratch.path().join(format!("tar-{round}"));
        tar.push(timed(|| unpack_with_tar(&archive, &folder)));
        std::fs::remove_dir_all(&folder).expect("what tar made can be removed");
        let layer = LayerId::new();
        import.push(timed(|| {
            runtime.block_on(async {
                let resolved = importer.resolve(input()).await.expect("an image");
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
    println!("         elapsed        CPU");
    for (name, (elapsed, cpu)) in [("tar -x", tar), ("import", import)] {
        println!("{name}  {elapsed:>7.0} ms  {cpu:>6.0} ms");
    }
    println!(
        "ratio   {:>7.2}     {:>6.2}",
        import.0 / tar.0,
        import.1 / tar.1
    );
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

/// Milliseconds that passed, and milliseconds of CPU that this process and its children took.
/// Everything earlier is on disk before the clock starts.
fn timed(work: impl FnOnce()) -> (f64, f64) {
    rustix::fs::sync();
    let (start, cpu) = (Instant::now(), cpu_ms());
    work();
    (start.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu)
}

/// `utime`, `stime`, `cutime` and `cstime` of /proc/self/stat, in hundredths of a second.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    fields
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        * 10.0
}

/// The median of each.
fn median(times: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (elapsed, cpu) = times.into_iter().unzip();
    (middle(elapsed), middle(cpu))
}
