//! Further processes in a running sandbox.

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::raw::{Answer, Raw, keys};
use crate::runs::plain;

/// The processes of an operation.
struct Processes<'a> {
    raw: &'a Raw,
    path: String,
}

impl<'a> Processes<'a> {
    fn of(raw: &'a Raw, operation: &str) -> Self {
        let path = format!("/v1/operations/{operation}/subprocesses");
        Self { raw, path }
    }

    async fn create(&self, spec: Value) -> Answer {
        self.raw.post(&self.path, &spec).await
    }

    /// Starts one, which has to work.
    async fn started(&self, spec: Value) -> u64 {
        let answer = self.create(spec).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let spid = answer.json()["spid"].as_u64().expect("a number");
        assert_eq!(answer.headers["location"], format!("{}/{spid}", self.path));
        assert_eq!(answer.json(), json!({"spid": spid}));
        spid
    }

    async fn get(&self, spid: u64) -> Answer {
        self.raw.get(&format!("{}/{spid}", self.path)).await
    }

    async fn result(&self, spid: u64) -> Value {
        let answer = self.get(spid).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    /// The result of one that ends by itself.
    async fn ended(&self, spid: u64) -> Value {
        loop {
            let result = self.result(spid).await;
            let state = &result["state"];
            if state["exit_code"] != -1 || state["signal"] != -1 {
                return result;
            }
        }
    }

    async fn kill(&self, spid: u64, query: &str) -> Answer {
        self.raw
            .delete(&format!("{}/{spid}{query}", self.path))
            .await
    }

    async fn write(&self, spid: u64, chunk: Value) -> Answer {
        self.raw
            .post(&format!("{}/{spid}/stdin", self.path), &chunk)
            .await
    }

    /// Writes, which has to work.
    async fn written(&self, spid: u64, chunk: Value) {
        let answer = self.write(spid, chunk).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn privileged_processes_join_a_run() {
    let server = Server::start(Settings::with(&["--instance-max-concurrency", "1"]));
    let image = server.import(&Tiny::new().tar(), "base").await.to_string();
    let raw = Raw::new(&server);
    let open = json!({
        "command": "cat", "image": image, "env": {"SHARED": "yes"}, "cwd": "/var",
        "stdin": {"value": "", "close": false},
    });

    // From the moment that a run is accepted, and a process is started, both may be used.
    let operation = raw.spawn(open.clone()).await;
    let processes = Processes::of(&raw, &operation);
    let spid = processes
        .started(json!({"command": "cat", "stdin": {"value": "a", "close": false}}))
        .await;
    assert_eq!(spid, 2);
    processes
        .written(
            spid,
            json!({"value": "Yg==", "encoding": "base64", "close": false}),
        )
        .await;
    processes
        .written(1, json!({"value": "to the command\n", "close": false}))
        .await;
    let running = processes.result(spid).await;
    assert_eq!(keys(&running), ["resources", "state", "stderr", "stdout"]);
    assert_eq!(
        (&running["state"]["exit_code"], &running["state"]["signal"]),
        (&json!(-1), &json!(-1))
    );
    processes.written(spid, json!({"value": "c\n"})).await;
    let echoed = processes.ended(spid).await;
    assert_eq!(plain(&echoed["stdout"]), "abc\n");
    assert_eq!(echoed["state"]["exit_code"], 0);
    // Its input is closed, and then it is no more.
    let late = processes.write(spid, json!({"value": "x"})).await;
    late.refused(404);

    // Environment and folder are those of the run, unless the request says otherwise.
    let spec = json!({
        "command": "echo $SHARED $OWN; pwd; id -u; id -g; seq 500 >&2", "shell": true,
        "env": {"OWN": "too"}, "cwd": "/tmp/new", "uid": 5, "gid": 6, "truncate_output_at": 19,
    });
    let own = processes.ended(processes.started(spec).await).await;
    assert_eq!(plain(&own["stdout"]), "yes too\n/tmp/new\n5\n");
    assert_eq!(own["stdout"]["truncated"], true);
    assert_eq!(
        (
            own["stderr"]["value"].as_str().map(str::len),
            &own["stderr"]["truncated"]
        ),
        (Some(19), &json!(true))
    );

    // A chunk of megabytes, and many at once, each in one piece.
    let spec = json!({
        "command": "sha256sum", "stdin": {"value": "", "close": false}, "truncate_output_at": 100,
    });
    let sum = processes.started(spec).await;
    processes
        .written(sum, json!({"value": "x".repeat(3 << 20), "close": false}))
        .await;
    let lines = json!({"command": "cat", "stdin": {"value": "", "close": false}, "truncate_output_at": 10_485_760});
    let many = processes.started(lines).await;
    let chunk = |letter: u8| format!("{}\n", (letter as char).to_string().repeat(100_000));
    let writes = (b'a'..b'i')
        .map(|letter| processes.written(many, json!({"value": chunk(letter), "close": false})));
    futures_util::future::join_all(writes).await;
    for spid in [sum, many] {
        processes.written(spid, json!({"value": ""})).await;
    }
    let digest = plain(&processes.ended(sum).await["stdout"]);
    let expected = Sha256::digest("x".repeat(3 << 20));
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest.split(' ').next(), Some(expected.as_str()));
    let result = processes.ended(many).await;
    let mut echoed: Vec<_> = result["stdout"]["value"]
        .as_str()
        .expect("text")
        .split_inclusive('\n')
        .collect();
    echoed.sort_unstable();
    assert_eq!(echoed, (b'a'..b'i').map(chunk).collect::<Vec<_>>());

    // What cannot be done leaves the run as it is.
    let sentence = processes
        .create(json!({"command": "no-such"}))
        .await
        .refused(400);
    assert_eq!(
        sentence,
        "spawn failed: exec no-such: no such file or directory"
    );
    for (key, value) in [
        ("cwd", json!("here")),
        ("uid", json!(70_000)),
        ("truncate_output_at", json!(10_485_761)),
        ("env", json!({"": ""})),
        ("args", json!("x")),
    ] {
        let mut spec = json!({"command": "true"});
        spec[key] = value;
        let sentence = processes.create(spec).await.refused(400);
        assert!(sentence.contains(key), "{key}: {sentence}");
    }
    processes.create(json!({"args": ["x"]})).await.refused(400);
    let deaf = processes
        .started(json!({"command": "sleep", "args": ["600"]}))
        .await;
    processes
        .write(deaf, json!({"value": "x"}))
        .await
        .refused(409);
    processes
        .write(deaf, json!({"value": "?", "encoding": "base64"}))
        .await
        .refused(400);
    processes
        .write(99, json!({"value": "x"}))
        .await
        .refused(404);
    processes.get(99).await.refused(404);
    for bad in ["0", "x", "-1"] {
        raw.get(&format!("{}/{bad}", processes.path))
            .await
            .refused(400);
    }

    // Signals.
    for unknown in ["?signal=NOPE", "?signal=0", "?signal=65", "?signal="] {
        processes.kill(deaf, unknown).await.refused(400);
    }
    assert_eq!(
        processes.kill(deaf, "").await.status,
        StatusCode::NO_CONTENT
    );
    let killed = processes.ended(deaf).await;
    assert_eq!(
        (&killed["state"]["signal"], &killed["state"]["exit_code"]),
        (&json!(9), &json!(-1))
    );
    processes.kill(deaf, "").await.refused(404);
    for (query, number) in [
        ("?signal=15", 15),
        ("?signal=INT", 2),
        ("?signal=sigusr1", 10),
    ] {
        let spid = processes
            .started(json!({"command": "sleep", "args": ["600"]}))
            .await;
        assert_eq!(
            processes.kill(spid, query).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(processes.ended(spid).await["state"]["signal"], number);
    }

    // A run that waits for its turn has no processes yet; nothing is done.
    let waits = raw.spawn(open).await;
    let early = Processes::of(&raw, &waits);
    for answer in [
        early.create(json!({"command": "true"})).await,
        early.get(1).await,
        early.kill(1, "").await,
        early.write(1, json!({"value": "x"})).await,
    ] {
        answer.refused(425);
        assert_eq!(answer.headers["retry-after"], "1");
    }

    // The command's end is everybody's; results stay.
    let left = processes
        .started(json!({"command": "sleep", "args": ["600"]}))
        .await;
    assert_eq!(
        processes.kill(1, "?signal=SIGTERM").await.status,
        StatusCode::NO_CONTENT
    );
    let operation = raw.ended(&operation).await;
    assert_eq!(operation["status"], "SUCCESS");
    assert!(operation["result_image_uuid"].is_string(), "{operation}");
    let command = processes.result(1).await;
    assert_eq!(command, operation["metadata"]["result"]);
    assert_eq!(command["state"]["signal"], 15);
    assert_eq!(plain(&command["stdout"]), "to the command\n");
    assert_eq!(processes.result(left).await["state"]["signal"], 9);
    assert_eq!(plain(&processes.result(spid).await["stdout"]), "abc\n");
    processes.get(99).await.refused(404);
    for answer in [
        processes.create(json!({"command": "true"})).await,
        processes.kill(1, "").await,
        processes.write(1, json!({"value": "x"})).await,
    ] {
        assert_eq!(answer.refused(409), "the operation has already ended");
    }

    // Imports have none, and unknown operations are not there.
    let imports = raw.json("/v1/operations?kind=image_import").await;
    let import = Processes::of(&raw, imports[0]["uuid"].as_str().expect("a uuid"));
    import.create(json!({"command": "true"})).await.refused(409);
    import.kill(1, "").await.refused(409);
    import.write(1, json!({"value": "x"})).await.refused(409);
    import.get(1).await.refused(404);
    let nobody = Processes::of(&raw, "01890000-0000-7000-8000-000000000000");
    nobody.create(json!({"command": "true"})).await.refused(404);
    nobody.get(1).await.refused(404);
    nobody.kill(1, "").await.refused(404);
    nobody.write(1, json!({"value": "x"})).await.refused(404);
    let path = format!("/v1/operations/{waits}");
    assert_eq!(
        raw.send(Method::DELETE, &path, "").await.status,
        StatusCode::ACCEPTED
    );
}
