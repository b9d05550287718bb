//! Scripts in sandboxes, on the machine of [`crate::world`].

use std::path::Path;

use contree_sandbox::Job;

use crate::sandboxes::{Outcome, World as Sandboxes, copy_with_libraries};
use crate::world::{RESOLVER, World};

/// What the scripts here use beside the everyday tools.
const TOOLS: [&str; 5] = ["bash", "perl", "getent", "grep", "find"];
const LAYER: &str = "layers/tools";

/// A host that makes sandboxes, on a machine of its own.
pub(crate) struct Guests {
    pub(crate) world: World,
    pub(crate) sandboxes: Sandboxes,
}

/// Runs a test with such a host, and takes it down.
pub(crate) fn with_guests<F: Future<Output = Guests>>(test: impl FnOnce(Guests) -> F) {
    let world = World::enter();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let sandboxes = Sandboxes::with(|config| config.network.resolvers = vec![RESOLVER]).await;
        add_tools(&sandboxes.store().join(LAYER));
        let Guests { sandboxes, .. } = test(Guests { world, sandboxes }).await;
        sandboxes.end().await;
    });
}

fn add_tools(layer: &Path) {
    for folder in ["bin", "etc"] {
        std::fs::create_dir_all(layer.join(folder)).expect("make a folder");
    }
    for tool in TOOLS {
        let path = Path::new("/usr/bin").join(tool);
        copy_with_libraries(&path, layer, &layer.join("bin").join(tool));
    }
    std::fs::write(layer.join("etc/nsswitch.conf"), "hosts: files dns\n").expect("write");
}

impl Guests {
    /// A job with the tools and the network.
    pub(crate) fn job(&self, script: &str) -> Job {
        let mut job = self.sandboxes.job(script);
        job.lowers.insert(0, LAYER.to_owned());
        job.network = true;
        job
    }

    /// Runs a script to its end.
    pub(crate) async fn sh(&self, script: &str) -> Outcome {
        let outcome = self.sandboxes.run(self.job(script)).await;
        outcome.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs a script whose every command must fail: prints `reached NAME` for those that do not.
    pub(crate) async fn refused(&self, commands: &[&str]) {
        let script: String = commands
            .iter()
            .map(|command| {
                format!(
                    "if ( {command} ) 2>&1; then echo 'reached {}'; fi\n",
                    quoted(command)
                )
            })
            .collect();
        let outcome = self.sh(&format!("{script}\necho done")).await;
        let text = outcome.text();
        assert!(text.ends_with("done\n"), "{text}");
        assert!(!text.contains("reached "), "{text}");
    }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
