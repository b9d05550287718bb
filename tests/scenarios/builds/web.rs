//! `ADD` of archives, and of files that a web server has.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Site;

/// A web server with a few files, until the test ends.
struct Web {
    url: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let web = Self {
            url,
            files: Arc::default(),
            asked: Arc::default(),
        };
        let (files, asked) = (Arc::clone(&web.files), Arc::clone(&web.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, asked) = (Arc::clone(&files), Arc::clone(&asked));
                // Whoever asks may go away.
                std::thread::spawn(move || drop(answer(stream, &files, &asked)));
            }
        });
        web
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let mut files = self.files.lock().expect("no test panicked here");
        files.insert(path.to_owned(), bytes.to_vec());
    }

    /// How often a file was sent whole.
    fn sent(&self, path: &str) -> usize {
        let asked = self.asked.lock().expect("no test panicked here");
        asked.iter().filter(|sent| *sent == path).count()
    }
}

/// One request: a file, with a validator.
fn answer(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, Vec<u8>>>,
    sent: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut known = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("if-none-match")
        {
            value.clone_into(&mut known);
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let file = files
        .lock()
        .expect("no test panicked here")
        .get(path)
        .cloned();
    let Some(file) = file else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let tag = format!(
        "\"{}-{}\"",
        file.len(),
        file.iter().map(|b| u64::from(*b)).sum::<u64>()
    );
    if known == tag {
        let head = format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nConnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes());
    }
    let length = file.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: {tag}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        sent.lock()
            .expect("no test panicked here")
            .push(path.to_owned());
        stream.write_all(&file)?;
    }
    Ok(())
}

/// A `.tar.gz` with owners, modes and a link.
fn archive(text: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    tar.append_data(&mut header, "lib/code.txt", text.as_bytes())
        .expect("a member");
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    tar.append_link(&mut link, "current", "lib/code.txt")
        .expect("a link");
    tar.into_inner()
        .and_then(GzEncoder::finish)
        .expect("an archive in memory")
}

#[tokio::test]
async fn privileged_archives_are_unpacked_and_urls_fetched() {
    let site = Site::new().await;
    let web = Web::start();
    web.put("/tool.sh", b"#!/bin/sh\necho from the web\n");
    web.put("/vendor.tar.gz", &archive("remote\n"));
    let context = site.fixture("add");
    std::fs::write(context.join("vendor.tar.gz"), archive("local\n")).expect("an archive");
    let url = format!("URL={}", web.url);
    let args = ["--build-arg", url.as_str()];
    let built = site.build(&context, &args);

    let vendor = site.tree(&built, "/opt").await;
    let vendor = |name: &str| vendor[name].as_str();
    assert_eq!(vendor("vendor/lib/code.txt"), "640 7:8 local");
    assert_eq!(vendor("vendor/current"), "777 0:0 -> lib/code.txt");
    assert_eq!(vendor("both/lib/code.txt"), "640 7:8 local");
    assert_eq!(vendor("both/plain.txt"), "644 0:0 plain");
    assert_eq!(vendor("remote/lib/code.txt"), "640 7:8 remote");
    assert!(!vendor("kept.tar.gz").ends_with('/'));
    let programs = site.tree(&built, "/usr/local/bin").await;
    assert!(
        programs["tool.sh"].starts_with("644 0:0 #!/bin/sh"),
        "{programs:?}"
    );
    assert!(
        programs["renamed"].starts_with("755 0:0 #!/bin/sh"),
        "{programs:?}"
    );
    assert_eq!(site.shell(&built, "renamed"), "from the web\n");

    // Asked again, the web server says that nothing changed, and nothing is done.
    let again = site.build(&context, &args);
    assert_eq!(again.carried_out(), [""; 0]);
    assert_eq!((web.sent("/tool.sh"), web.sent("/vendor.tar.gz")), (1, 1));
    // What changed there is fetched, and only what depends on it is done again.
    web.put("/tool.sh", b"#!/bin/sh\necho changed\n");
    let changed = site.build(&context, &args);
    assert_eq!(changed.carried_out().len(), 3, "{}", changed.told);
    assert_eq!(site.shell(&changed, "renamed"), "changed\n");

    let missing = format!("FROM tiny\nADD {}/absent /x\n", web.url);
    std::fs::write(context.join("Dockerfile"), missing).expect("a Dockerfile");
    site.run(&context, &[])
        .ends_with(1)
        .complains("Dockerfile:2")
        .complains("404");
}
