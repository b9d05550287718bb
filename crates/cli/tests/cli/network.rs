//! A server that is ill: what is tried again, for how long, and what the user hears of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::home::{Ended, Home};

/// Answers one request after another with what it is given, then always with an empty list.
/// What it was asked comes into the list.
fn server(answers: &[&str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut answers: Vec<String> = answers.iter().rev().map(|&text| text.to_owned()).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            heard.lock().unwrap().push(request(&stream));
            let head = answers.pop().unwrap_or_else(|| "200 OK".to_owned());
            let answer = format!(
                "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: 13\r\n\r\n{{\"images\":[]}}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, asked)
}

const ILL: &str = "503 Service Unavailable\r\nRetry-After: 0";

#[test]
fn a_server_that_recovers_is_asked_again_and_the_user_hears_why_it_takes_long() {
    let home = Home::empty();
    let ask = |url: &str| {
        let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["images"]);
        let command = command.env("CONTREE_URL", url).env("CONTREE_TOKEN", "x");
        Ended::of(command.spawn().unwrap())
    };
    let (url, asked) = server(&[ILL; 2]);
    assert_eq!(ask(&url).code(0).stderr, "", "nobody need hear of that");
    assert_eq!(asked.lock().unwrap().len(), 3);
    let (url, asked) = server(&[ILL; 7]);
    let ended = ask(&url).code(0).says("503").says("trying again");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert_eq!(asked.lock().unwrap().len(), 8);
}

#[test]
fn a_server_that_stays_ill_ends_the_command() {
    let home = Home::empty();
    let ask = |url: &str, args: &[&str]| {
        let mut command = home.command(env!("CARGO_BIN_EXE_contree"), args);
        let command = command.env("CONTREE_URL", url).env("CONTREE_TOKEN", "x");
        Ended::of(command.spawn().unwrap())
    };
    let (url, asked) = server(&[ILL; 100]);
    ask(&url, &["images"])
        .code(1)
        .says("HTTP 503")
        .says("try again later");
    assert_eq!(asked.lock().unwrap().len(), 10);
    // A wait that nobody would sit through is not begun.
    let (url, asked) = server(&["429 Too Many Requests\r\nRetry-After: 3600"]);
    ask(&url, &["images"]).code(1).says("try again later");
    assert_eq!(asked.lock().unwrap().len(), 1);
    // What may have been done already is not done twice.
    let (url, asked) = server(&[ILL; 100]);
    ask(&url, &["images", "import", "x:1"])
        .code(1)
        .says("HTTP 503");
    let asked = asked.lock().unwrap();
    assert_eq!(*asked, ["post /v1/images/import http/1.1"]);
}

/// Reads a request to its end; its first line, empty where none came.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap_or_default();
        let line = line.trim_end().to_ascii_lowercase();
        let is_end = line.is_empty();
        head.push(line);
        if is_end {
            break;
        }
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    // What is left unread would break the connection off.
    reader.read_exact(&mut vec![0; length]).unwrap();
    head.swap_remove(0)
}

#[test]
fn ctrl_c_cancels_an_import_that_is_just_being_started() {
    let id = "01a203b9-8c20-722d-8af8-6c5d9fa051cd";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let home = Home::empty();
    let mut command = home.command(env!("CARGO_BIN_EXE_contree"), &["images", "import", "x:1"]);
    let command = command.env("CONTREE_URL", url).env("CONTREE_TOKEN", "x");
    let child = command.spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(request(&stream), "post /v1/images/import http/1.1");
    crate::interrupt(&child);
    // Only now does the server tell what it has started.
    let body = format!("{{\"uuid\":\"{id}\"}}");
    let length = body.len();
    let head = "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    drop(stream);
    // The command may have begun to follow it before it heard of Ctrl-C, and may have opened a
    // connection for that which it then has no use for.
    let cancel = format!("delete /v1/operations/{id} http/1.1");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                let first = request(&stream);
                let head =
                    "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                // Nobody may be there any more.
                let _ = stream.write_all(head.as_bytes());
                let _ = tell.send(first);
            });
        }
    });
    while told.recv().unwrap() != cancel {}
    Ended::of(child)
        .code(1)
        .says("Cancelled operation")
        .says("User interrupted");
}
