//! Trees put in place without a command: from images and from archives.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tar::EntryType;

use crate::raw::Raw;
use crate::runs::{exit_code, stdout};

const MIB: usize = 1 << 20;

/// A server with a small image, and one that was made on it.
struct World {
    server: Server,
    raw: Raw,
    tiny: String,
}

impl World {
    async fn new() -> Self {
        let server = Server::start(Settings::default());
        let tiny = server.import(&Tiny::new().tar(), "tiny:latest").await;
        Self {
            raw: Raw::new(&server),
            tiny: tiny.to_string(),
            server,
        }
    }

    /// The image that a script makes of the small one.
    async fn made(&self, script: &str) -> String {
        let request = json!({"command": script, "image": self.tiny, "shell": true});
        let operation = self.raw.run(request).await;
        assert_eq!(exit_code(&operation), 0, "{operation}");
        image(&operation)
    }

    /// A run that puts these in place.
    async fn put(&self, image: &str, copy: Value) -> Value {
        let request = json!({"command": "", "image": image, "copy": copy});
        self.raw.run(request).await
    }

    /// The image that comes of it.
    async fn copied(&self, image: &str, copy: Value) -> String {
        let operation = self.put(image, copy).await;
        assert_eq!(exit_code(&operation), 0, "{operation}");
        assert_eq!(stderr(&operation), "");
        self::image(&operation)
    }

    async fn upload(&self, bytes: Vec<u8>) -> String {
        let answer = self.raw.send(Method::POST, "/v1/files", bytes).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()["uuid"].as_str().expect("a uuid").to_owned()
    }

    /// Everything about a folder of an image, by name, but for its own name.
    async fn tree(&self, image: &str, path: &str) -> BTreeMap<String, Member> {
        let path = format!("/v1/inspect/{image}/archive?path={path}");
        let answer = self.raw.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        members(&answer.body)
    }
}

/// One member of an archive: type, mode, owner, group, time, link, attributes, content.
type Member = (u8, u32, u64, u64, u64, String, Vec<String>, Vec<u8>);

fn members(archive: &[u8]) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().expect("a tar") {
        let mut entry = entry.expect("a tar");
        let below = |path: &str| path.split_once('/').unwrap_or(("", path)).1.to_owned();
        let name = below(&entry.path().expect("a path").to_string_lossy());
        let link = entry.link_name().expect("a target");
        let mut link = link.map_or_else(String::new, |link| link.to_string_lossy().into_owned());
        if entry.header().entry_type() == EntryType::Link {
            link = below(&link);
        }
        let mut records = Vec::new();
        for record in entry
            .pax_extensions()
            .expect("records")
            .into_iter()
            .flatten()
        {
            let record = record.expect("a record");
            let key = record.key().expect("a key");
            if key == "mtime" || key.starts_with("SCHILY") {
                records.push(format!("{key}={:?}", record.value_bytes()));
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let header = entry.header();
        let member = (
            header.entry_type().as_byte(),
            header.mode().expect("a mode"),
            header.uid().expect("an owner"),
            header.gid().expect("a group"),
            header.mtime().expect("a time"),
            link,
            records,
            content,
        );
        members.insert(name, member);
    }
    members
}

fn image(operation: &Value) -> String {
    let image = operation["result_image_uuid"].as_str();
    image.unwrap_or_else(|| panic!("{operation}")).to_owned()
}

fn stderr(operation: &Value) -> String {
    let stderr = &operation["metadata"]["result"]["stderr"]["value"];
    stderr.as_str().expect("a text").to_owned()
}

/// Members of an archive that a stranger wrote: names are as they are given.
#[derive(Default)]
struct Hostile(Vec<u8>);

impl Hostile {
    fn add(mut self, name: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(1).expect("ustar has devices");
        header.set_device_minor(3).expect("ustar has devices");
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(name, EntryType::Regular, "", content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// A header that announces `size` bytes, and so many zeros: many gigabytes in a small file.
fn bomb(kind: EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.as_mut_bytes()[..4].copy_from_slice(b"bomb");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("compressed");
    let mut bomb = frame(header.as_bytes());
    let zeros = frame(&vec![0; 16 * MIB]);
    for _ in 0..size / (16 * MIB as u64) {
        bomb.extend_from_slice(&zeros);
    }
    bomb
}

#[tokio::test]
async fn privileged_trees_of_images_are_put_in_place() {
    let world = World::new().await;
    let source = world
        .made(
            "mkdir -p /out/sub/deep && cd /out && echo hello > file && ln file twin && \
             ln -s file link && ln -s /nowhere dangling && echo x > sub/deep/x && \
             chmod 4755 file && chmod 1777 sub && chown 12:34 sub/deep sub/deep/x && \
             dd if=/dev/zero of=sub/holes bs=1 count=1 seek=9000000 && mkdir empty && \
             chmod 700 /out && chown 5:6 /out && touch -d 2001-02-03T04:05:06.789 file sub /out && \
             ln -s out /way && ln -s file /out/way && echo two > /second",
        )
        .await;
    let from = |paths: &[&str], to: &str| json!([{"image": source, "paths": paths, "to": to}]);

    // A folder stands for what is in it; the folder that is made for it is as it was.
    let original = world.tree(&source, "/out").await;
    assert_eq!(original.len(), 11);
    for path in ["/out", "/out/", "/way"] {
        let copied = world.copied(&world.tiny, from(&[path], "/copy")).await;
        assert_eq!(world.tree(&copied, "/copy").await, original, "{path}");
    }
    let copied = world
        .copied(&world.tiny, from(&["/out"], "/a/b/copy/"))
        .await;
    let line = "stat -c '%a %u:%g' /a/b/copy /a/b/copy/file /a/b/copy/sub; \
                stat -c %b /a/b/copy/sub/holes";
    let shown = world.raw.sh(&copied, line).await;
    let blocks = shown.lines().last().expect("lines").parse::<u64>();
    assert!(
        shown.starts_with("755 0:0\n4755 0:0\n1777 0:0\n"),
        "{shown}"
    );
    assert!(blocks.expect("a number") < 100, "{shown}");

    // One file: into a folder, or by the name that is given.
    for (path, to, place) in [
        ("/out/file", "/new", "/new"),
        ("/out/file", "/new/", "/new/file"),
        ("/out/file", "/bin", "/usr/bin/file"),
        ("/out/file", "/etc/passwd", "/etc/passwd"),
        ("/out/way", "/tmp/", "/tmp/way"),
        ("/out/way", "/a/b", "/a/b"),
    ] {
        let copied = world.copied(&world.tiny, from(&[path], to)).await;
        let content = world
            .raw
            .sh(&copied, &format!("cat {place}; stat -c %F {place}"))
            .await;
        assert_eq!(content, "hello\nregular file\n", "{to}");
    }

    // Several paths go into one folder; they join what is there.
    let copied = world
        .copied(
            &world.tiny,
            from(&["/out/sub", "/second", "/out/empty"], "/usr/bin"),
        )
        .await;
    let shown = world
        .raw
        .sh(&copied, "cat /bin/second /bin/deep/x; stat -c %u /bin")
        .await;
    assert_eq!(shown, "two\nx\n0\n");

    // Links below a path stay links, also where they lead to nothing.
    let line = "stat -c %N /copy/link /copy/dangling /copy/way";
    let copied = world.copied(&world.tiny, from(&["/out"], "/copy")).await;
    assert_eq!(
        world.raw.sh(&copied, line).await,
        "'/copy/link' -> 'file'\n'/copy/dangling' -> '/nowhere'\n'/copy/way' -> 'file'\n"
    );

    // Owner and mode as asked for, folders that had to be made included.
    let mut copy = from(&["/out"], "/x/y");
    copy[0]["uid"] = 7.into();
    copy[0]["gid"] = 8.into();
    copy[0]["mode"] = "0750".into();
    let copied = world.copied(&world.tiny, copy).await;
    let line = "stat -c '%a %u:%g' /x /x/y /x/y/file /x/y/sub /x/y/sub/deep/x; \
                stat -c %u:%g /x/y/link";
    assert_eq!(
        world.raw.sh(&copied, line).await,
        "755 7:8\n750 7:8\n750 7:8\n750 7:8\n750 7:8\n7:8\n"
    );

    // In order: the later wins, and files come first.
    let file = world.upload(b"attached".to_vec()).await;
    let request = json!({
        "command": "", "image": world.tiny, "preserve_cwd": true, "cwd": "/made/here",
        "files": {"/made/file": {"uuid": file}, "/dev/kept": {"uuid": file}},
        "copy": [
            {"image": source, "paths": ["/second"], "to": "/made/other"},
            {"image": source, "paths": ["/out/file"], "to": "/made/other"},
        ],
        "preserve_env": true, "env": {"A": "b"},
    });
    let operation = world.raw.run(request).await;
    assert_eq!(exit_code(&operation), 0, "{operation}");
    let copied = image(&operation);
    let line = "pwd; printenv A; cat /made/file; echo; cat /made/other";
    let shown = world.raw.sh(&copied, line).await;
    assert_eq!(shown, "/made/here\nb\nattached\nhello\n");
    // What was attached below /dev is the image's.
    let kept = world
        .raw
        .get(&format!("/v1/inspect/{copied}/download?path=/dev/kept"))
        .await;
    assert_eq!(kept.body, b"attached");

    // The operation shows what was asked for.
    let shown = &operation["metadata"]["copy"];
    assert_eq!(shown[1]["image"], source.as_str());
    assert_eq!(shown[1]["paths"], json!(["/out/file"]));
    assert!(shown[1].get("uid").is_none(), "{shown}");
}

#[tokio::test]
async fn privileged_a_whole_system_is_put_into_an_image_without_a_program() {
    let world = World::new().await;
    // Extended attributes come from an archive: the small image has no program for them.
    let mut archive = tar::Builder::new(Vec::new());
    let value = "value";
    archive
        .append_pax_extensions([("SCHILY.xattr.user.note", value.as_bytes())])
        .expect("records");
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(5);
    archive
        .append_data(&mut header, "noted", &b"noted"[..])
        .expect("an entry");
    let noted = world
        .upload(archive.into_inner().expect("an archive"))
        .await;
    let noted = world
        .copied(&world.tiny, json!([{"archive": noted, "to": "/noted"}]))
        .await;

    let empty = Hostile::default().file("nothing", b"").end();
    let folder = tempfile::tempdir().expect("a folder");
    let tar = folder.path().join("empty.tar");
    std::fs::write(&tar, empty).expect("a file");
    let bare = world.server.import(&tar, "bare:latest").await.to_string();
    let all = world
        .copied(&bare, json!([{"image": noted, "paths": ["/"], "to": "/"}]))
        .await;
    let (theirs, ours) = (
        world.tree(&noted, "/usr").await,
        world.tree(&all, "/usr").await,
    );
    assert!(theirs.len() > 30);
    assert!(theirs == ours, "usr differs");
    let (theirs, ours) = (
        world.tree(&noted, "/noted").await,
        world.tree(&all, "/noted").await,
    );
    assert_eq!(theirs, ours);
    assert!(
        format!("{ours:?}").contains("SCHILY.xattr.user.note"),
        "{ours:?}"
    );
    assert_eq!(
        world
            .raw
            .sh(&all, "cat /noted/noted; stat -c %N /bin")
            .await,
        "noted'/bin' -> 'usr/bin'\n"
    );

    // By tag, and no command at all: the image is the same.
    let request = json!({"command": "", "image": "tag:bare:latest"});
    let operation = world.raw.run(request).await;
    assert_eq!(exit_code(&operation), 0, "{operation}");
    assert_eq!(image(&operation), bare);
    let request = json!({"command": "", "image": bare, "disposable": true,
        "copy": [{"image": "tag:tiny:latest", "paths": ["/usr"], "to": "/usr"}]});
    let operation = world.raw.run(request).await;
    assert_eq!(exit_code(&operation), 0, "{operation}");
    assert_eq!(operation["result_image_uuid"], Value::Null);
    assert_eq!(
        operation["metadata"]["copy"][0]["image"],
        world.tiny.as_str()
    );
}

#[tokio::test]
async fn privileged_what_cannot_be_copied_is_said() {
    let world = World::new().await;
    let tiny = world.tiny.as_str();
    let source = world
        .made("mkdir -p /d/passwd /e/usr && echo x > /d/f && echo > /e/usr/bin")
        .await;
    let pipe = Hostile::default()
        .add("pipe", EntryType::Fifo, "", b"")
        .end();
    let pipe = world.upload(pipe).await;
    let source = world
        .copied(&source, json!([{"archive": pipe, "to": "/"}]))
        .await;
    for (paths, to, told) in [
        (
            vec!["/x"],
            "/",
            "copy: /x: no such file or folder in the image\n",
        ),
        (
            vec!["/d/f/x"],
            "/",
            "copy: /d/f/x: no such file or folder in the image\n",
        ),
        (vec!["/d/f/"], "/", "copy: /d/f/ is not a folder\n"),
        (
            vec!["/pipe"],
            "/",
            "copy: /pipe is neither a regular file nor a folder\n",
        ),
        (
            vec!["/d"],
            "/etc",
            "copy: /etc/passwd: there is something else than a folder, which a folder cannot \
             replace\n",
        ),
        (
            vec!["/e"],
            "/",
            "copy: /usr/bin: there is a folder, which only a folder can join\n",
        ),
        (
            vec!["/d/f"],
            "/etc/passwd/x",
            "copy: /etc/passwd/x: what should be its folder is a file, or a link to nowhere\n",
        ),
        (
            vec!["/d", "/d/f"],
            "/etc/passwd",
            "copy: /etc/passwd: what should be its folder is a file, or a link to nowhere\n",
        ),
    ] {
        let operation = world
            .put(tiny, json!([{"image": source, "paths": paths, "to": to}]))
            .await;
        assert_eq!(exit_code(&operation), 1, "{operation}");
        assert_eq!(stderr(&operation), told);
        assert_eq!(operation["status"], "SUCCESS");
    }
    // What came before stays, as after any command that fails.
    let operation = world
        .put(
            tiny,
            json!([{"image": source, "paths": ["/d/f", "/x"], "to": "/tmp"}]),
        )
        .await;
    assert_eq!(exit_code(&operation), 1);
    assert_eq!(world.raw.sh(&image(&operation), "cat /tmp/f").await, "x\n");

    let unknown = "12345678-9abc-4aba-9eda-0123456789ab";
    let copy = |copy: Value| json!({"command": "", "image": tiny, "copy": [copy]});
    let refused = async |request: &Value, status: u16| {
        world
            .raw
            .post("/v1/instances", request)
            .await
            .refused(status)
    };
    for (request, status, told) in [
        (
            copy(json!({"image": unknown, "paths": ["/"], "to": "/"})),
            404,
            format!("copy[0].image: there is no image {unknown}"),
        ),
        (
            copy(json!({"image": "tag:nope", "paths": ["/"], "to": "/"})),
            404,
            "copy[0].image: there is no image tagged nope".to_owned(),
        ),
        (
            copy(json!({"archive": unknown, "to": "/"})),
            404,
            format!("copy[0].archive: there is no file {unknown}"),
        ),
        (
            copy(json!({"image": tiny, "paths": ["/a/../b"], "to": "/"})),
            400,
            "copy[0].paths[0]: the path must not contain '..'".to_owned(),
        ),
        (
            json!({"command": "true", "image": tiny, "copy": [{"archive": unknown, "to": "/"}]}),
            400,
            "copy is only for runs without a command: set command to \"\"".to_owned(),
        ),
        (
            json!({"command": "", "shell": true, "image": tiny}),
            400,
            "command must not be empty when there is shell".to_owned(),
        ),
    ] {
        assert_eq!(refused(&request, status).await, told);
    }
    let sentence = refused(&copy(json!({"image": tiny, "to": "/"})), 400).await;
    assert!(
        sentence.contains("copy[0]") && sentence.contains("`image` and `paths`"),
        "{sentence}"
    );
}

#[tokio::test]
async fn privileged_archives_are_unpacked() {
    let world = World::new().await;
    let tiny = world.tiny.as_str();
    let plain = Hostile::default()
        .add("./", EntryType::Directory, "", b"")
        .add("./d/", EntryType::Directory, "", b"")
        .file("./d/file", b"hello")
        .add("hard", EntryType::Link, "d/file", b"")
        .add("soft", EntryType::Symlink, "d/file", b"")
        .file("/absolute", b"below")
        .end();
    let zstd = zstd::encode_all(&plain[..], 1).expect("compressed");
    let mut images = Vec::new();
    for archive in [plain.clone(), gzip(&plain), zstd] {
        let file = world.upload(archive).await;
        for to in ["/srv/new", "/srv/new/"] {
            let copied = world
                .copied(tiny, json!([{"archive": file, "to": to}]))
                .await;
            images.push(world.tree(&copied, "/srv/new").await);
        }
    }
    assert_eq!(images[0].len(), 6, "{:?}", images[0].keys());
    assert_eq!(images[0]["absolute"].7, b"below");
    for other in &mut images {
        other.get_mut("").expect("the folder").4 = 0;
        other.get_mut("").expect("the folder").6.clear();
    }
    assert!(images.iter().all(|other| *other == images[0]));
    let mut owned =
        json!([{"archive": world.upload(plain).await, "to": "/srv", "uid": 3, "gid": 4}]);
    owned[0]["mode"] = "0700".into();
    let copied = world.copied(tiny, owned).await;
    let line = "stat -c '%a %u:%g' /srv /srv/d /srv/hard; cat /srv/soft";
    assert_eq!(
        world.raw.sh(&copied, line).await,
        "755 3:4\n700 3:4\n700 3:4\nhello"
    );

    // What a hostile one may try ends in its own sandbox, or in a sentence.
    let hostile = [
        (
            Hostile::default().file("../x", b"").end(),
            1,
            "leads upwards",
        ),
        (
            Hostile::default().file("a/../../x", b"").end(),
            1,
            "leads upwards",
        ),
        (
            Hostile::default()
                .add("x", EntryType::Link, "../etc/shadow", b"")
                .end(),
            1,
            "leads upwards",
        ),
        (
            Hostile::default()
                .add("x", EntryType::Link, "nothing", b"")
                .end(),
            1,
            "/srv/x: the file that it is a hard link to, nothing, is not there",
        ),
        (
            Hostile::default()
                .add("null", EntryType::Char, "", b"")
                .end(),
            0,
            "copy: /srv/null: a device, which is left out\n",
        ),
        (
            Hostile::default()
                .add("way", EntryType::Symlink, "/proc/self/fd", b"")
                .file("way/0", b"x")
                .end(),
            1,
            "/srv/way/0: what should be its folder",
        ),
        (
            Hostile::default().file("cut", &[b'x'; 5000]).0[..3000].to_vec(),
            1,
            "ends too early",
        ),
        (gzip(&[b'x'; 5000])[..20].to_vec(), 1, "is broken: "),
        (
            b"BZh91AY&SY....".to_vec(),
            1,
            "bzip2, which is not supported",
        ),
        (vec![b'x'; 5000], 1, "not a tar archive"),
    ];
    for (archive, code, told) in hostile {
        let file = world.upload(archive).await;
        let operation = world
            .put(tiny, json!([{"archive": file, "to": "/srv"}]))
            .await;
        assert_eq!(operation["status"], "SUCCESS", "{operation}");
        assert!(
            stderr(&operation).contains(told),
            "{told}: {}",
            stderr(&operation)
        );
        assert_eq!(exit_code(&operation), code, "{operation}");
    }
    // Links of an archive are followed inside the sandbox, as in its own folders.
    let through = Hostile::default()
        .add("way", EntryType::Symlink, "/etc", b"")
        .file("way/through", b"there")
        .end();
    let file = world.upload(through).await;
    let copied = world
        .copied(tiny, json!([{"archive": file, "to": "/srv"}]))
        .await;
    assert_eq!(world.raw.sh(&copied, "cat /etc/through").await, "there");
}

#[tokio::test]
async fn privileged_bombs_timeouts_and_cancels_end_a_copy() {
    let world = World::new().await;
    let tiny = world.tiny.as_str();
    let archive = world.upload(bomb(EntryType::Regular, 64 << 30)).await;
    let request = json!({
        "command": "", "image": tiny, "copy": [{"archive": archive, "to": "/"}],
        "resources_limits": {"max_layer_bytes": 20 * MIB},
    });
    let operation = world.raw.run(request).await;
    assert_eq!(operation["status"], "FAILED", "{operation}");
    let error = operation["error"].as_str().expect("an error");
    assert!(error.contains("max_layer_bytes"), "{error}");
    assert_eq!(operation["result_image_uuid"], Value::Null);

    // Bytes that lead to nothing keep the server busy, and the process waiting.
    let idle = world
        .upload(bomb(EntryType::XGlobalHeader, 200 << 30))
        .await;
    let request = json!({
        "command": "", "image": tiny, "timeout": 1, "copy": [{"archive": idle, "to": "/"}],
    });
    let operation = world.raw.run(request.clone()).await;
    assert_eq!(operation["status"], "SUCCESS", "{operation}");
    assert_eq!(operation["metadata"]["result"]["state"]["timed_out"], true);
    assert_eq!(image(&operation), tiny);

    let mut request = request;
    request["timeout"] = 600.into();
    let operation = world.raw.spawn(request).await;
    loop {
        let log = world.raw.events(&operation, "").await;
        if log.iter().any(|event| event.kind == "spawn") {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Nobody comes in between: no other process, no input.
    let path = format!("/v1/operations/{operation}");
    let exec = json!({"command": "true"});
    let sentence = world
        .raw
        .post(&format!("{path}/subprocesses"), &exec)
        .await
        .refused(409);
    assert!(sentence.contains("no process can be started"), "{sentence}");
    let input = json!({"value": "x", "close": true});
    let stdin = format!("{path}/subprocesses/1/stdin");
    world.raw.post(&stdin, &input).await.refused(409);
    let cancelled = world.raw.delete(&path).await;
    assert!(cancelled.status.is_success(), "{cancelled:?}");
    let operation = world.raw.ended(&operation).await;
    assert_eq!(operation["status"], "CANCELLED");
    assert_eq!(operation["result_image_uuid"], Value::Null);
    assert_eq!(stdout(&operation), "");
}
