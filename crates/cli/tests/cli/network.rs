//! A server that is ill: what is tried again, for how long, and what the user hears of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
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
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else {
                continue;
            };
            lines
                .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
                .for_each(drop);
            heard.lock().unwrap().push(first);
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
    assert_eq!(*asked, ["POST /v1/images/import HTTP/1.1"]);
}
