//! The page "Images & Tags", command by command.

use std::net::TcpListener;

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Key, Registry, Server, Settings};

/// What the page calls UUID: the image of the current session.
fn current_image(contree: &Contree) -> String {
    let shown = contree.run(&["--format", "json", "use"]).succeeds();
    let row: serde_json::Value = serde_json::from_str(&shown.stdout).expect("a row as JSON");
    row["current_image"].as_str().expect("an image").to_owned()
}

#[test]
fn privileged_every_command_of_the_page() {
    let tiny = Tiny::new();
    let registry = Registry::open();
    for name in ["ubuntu:latest", "python:3.11-slim", "node:20-slim"] {
        registry.push(&tiny.tar(), name, &[&format!("NAME={name}")]);
    }
    registry.push(&tiny.tar(), "org/repo:tag", &["NAME=org"]);
    registry.push(&tiny.tar(), "library/debian:12", &["NAME=debian"]);
    registry.push(&tiny.tar(), "alpine:latest", &["NAME=alpine"]);
    let private = Registry::with_password("user", "se-cret");
    private.push(&tiny.tar(), "image:tag", &["NAME=private"]);
    let open = registry.address();
    let server_settings = Settings::with(&[
        "--allow-registry",
        open,
        "--allow-registry",
        private.address(),
    ]);
    let server = Server::start(server_settings.clone());
    let contree = Contree::new(&server);

    // Importing images. On the page the registry is Docker Hub; here it has an address.
    let at = |name: &str| format!("{open}/{name}");
    contree
        .run(&["images", "import", &at("ubuntu:latest")])
        .succeeds()
        .shows("SUCCESS");
    contree
        .run(&["images", "import", "--timeout", "600", &at("ubuntu:latest")])
        .succeeds()
        .shows("SUCCESS");
    contree
        .run(&["images", "import", &at("python:3.11-slim")])
        .succeeds();
    contree
        .run(&["images", "import", &at("org/repo:tag")])
        .succeeds();
    contree
        .run(&[
            "images",
            "import",
            &at("ubuntu:latest"),
            &at("python:3.11-slim"),
            &at("node:20-slim"),
        ])
        .succeeds();
    contree
        .run(&["images", "import", &at("alpine:latest")])
        .succeeds();

    // The tag leaves out what everybody would.
    contree
        .run(&["images", "import", &at("library/debian:12")])
        .succeeds()
        .shows(" debian:12 ");

    // Private registries.
    let image = format!("{}/image:tag", private.address());
    contree
        .run(&[
            "images",
            "import",
            "--username=user",
            "--password=se-cret",
            &image,
        ])
        .succeeds()
        .shows("SUCCESS");
    // Without --password it is asked for, and not shown.
    let mut terminal = contree.terminal(&["images", "import", "--username=user", &image]);
    terminal.shows("Registry password of user");
    terminal.hides_typing(true);
    terminal.type_line("se-cret");
    assert_eq!(terminal.ended(), 0);
    assert!(!terminal.printed().contains("se-cret"));

    // Ctrl+C cancels: this registry takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_at = silent.local_addr().expect("it has an address");
    let mut settings = server_settings.clone();
    settings
        .args
        .extend(["--allow-registry".to_owned(), silent_at.to_string()]);
    let patient = Server::start(settings);
    let other = Contree::new(&patient);
    let mut terminal = other.terminal(&["images", "import", &format!("{silent_at}/slow:1")]);
    terminal.shows("looking up");
    terminal.press(Key::Ctrl('c'));
    assert_eq!(terminal.ended(), 1);
    terminal.shows("Cancelled operation");
    crate::all_end(&other);
    other
        .line("ps -a --status CANCELLED -q")
        .succeeds()
        .shows("-");
    drop((other, patient));

    // Listing images.
    contree
        .line("images")
        .succeeds()
        .shows("ubuntu:latest")
        .shows("python:3.11-slim");
    contree
        .line("images --prefix=ubuntu")
        .succeeds()
        .shows("ubuntu:latest")
        .hides("python");
    contree
        .line("images --prefix=my-app")
        .succeeds()
        .hides("ubuntu");
    contree.line("use tag:ubuntu:latest").succeeds();
    contree.run(&["run", "-s", "echo one > /one"]).succeeds();
    let uuid = current_image(&contree);
    contree.line("images").succeeds().hides(&uuid);
    contree.line("images -a").succeeds().shows(&uuid);
    contree
        .line("images --since 1d")
        .succeeds()
        .shows("ubuntu:latest");
    contree
        .line("images --since 2025-04-01")
        .succeeds()
        .shows("ubuntu:latest");
    contree
        .line("images --until 2025-04-01")
        .succeeds()
        .hides("ubuntu:latest");

    // Tagging images.
    contree.line("tag my-app:v1.0").succeeds();
    contree
        .line("images --prefix=my-app")
        .succeeds()
        .shows(&uuid)
        .shows("my-app:v1.0");
    contree.line(&format!("tag {uuid} my-app:v1.0")).succeeds();
    contree.line("tag tag:alpine:latest my-alpine").succeeds();
    contree
        .line("images --prefix=my-alpine")
        .succeeds()
        .shows("my-alpine");
    contree
        .line(&format!("tag {uuid} my-app:latest"))
        .succeeds();
    contree.line(&format!("tag {uuid} my-app:v2.0")).succeeds();
    contree
        .line(&format!("tag {uuid} common/python-ml/python:3.11-slim"))
        .succeeds();
    contree
        .line("images --prefix=common/python-ml")
        .succeeds()
        .shows(&uuid);

    // Removing one.
    contree
        .line(&format!("tag -d {uuid} my-app:v1.0"))
        .succeeds();
    contree
        .line("images --prefix=my-app")
        .succeeds()
        .hides("v1.0")
        .shows("my-app:v2.0");

    // Tag rules: assigning an existing tag to a different image moves it; the grammar holds.
    contree.line("use tag:alpine:latest").succeeds();
    contree.run(&["run", "-s", "echo two > /two"]).succeeds();
    let other = current_image(&contree);
    contree
        .line(&format!("tag {other} my-app:latest"))
        .succeeds();
    contree
        .line("images --prefix=my-app:latest")
        .succeeds()
        .shows(&other)
        .hides(&uuid);
    contree.line(&format!("tag {other} my..app")).ends_with(1);
    contree
        .line(&format!("tag {other} {}", "a".repeat(257)))
        .ends_with(1);

    // Using tags.
    contree.line("use tag:my-app:latest").succeeds();
    contree.run(&["run", "cat", "/two"]).succeeds().shows("two");
    contree.line("use tag:no-such-tag").ends_with(1);

    // Shadow behaviour: one's own tag wins; without it the public image is there again.
    contree
        .line("admin publish tag:node:20-slim ubuntu:latest")
        .succeeds();
    contree.line("use tag:ubuntu:latest").succeeds();
    contree
        .line("run printenv NAME")
        .succeeds()
        .shows("ubuntu:latest");
    contree.line("tag --delete ubuntu:latest").succeeds();
    contree.line("use tag:ubuntu:latest").succeeds();
    contree
        .line("run printenv NAME")
        .succeeds()
        .shows("node:20-slim");

    // Reusing images across sessions.
    contree
        .run(&["run", "-s", "echo prepared > /base"])
        .succeeds();
    let prepared = current_image(&contree);
    contree
        .line(&format!("tag {prepared} python-dev:latest"))
        .succeeds();
    let later = contree.session("days-later");
    later
        .line("images --prefix=python-dev")
        .succeeds()
        .shows("python-dev:latest");
    later.line("use tag:python-dev:latest").succeeds();
    later.line("run cat /base").succeeds().shows("prepared");
}
