//! Builds that come to an end before their image.

use std::process::Stdio;
use std::time::Duration;

use contree_api::operation::OperationStatus;
use contree_client::OperationFilter;
use rustix::process::{Pid, Signal, kill_process};

use super::Site;

#[tokio::test]
async fn privileged_a_step_that_fails_says_where_and_why() {
    let site = Site::new().await;
    let context = site.fixture("failing");
    let failed = site.run(&context, &["--tag", "never:1"]).ends_with(1);
    assert_eq!(failed.stdout, "");
    let failed = failed
        .complains("Dockerfile:4: RUN echo \"one line of output\"")
        .complains("exited with code 42")
        .complains("contree run --use ");
    // The output is told as it comes, and once more at the end.
    for line in ["one line of output", "and one of errors"] {
        assert_eq!(
            failed.stderr.matches(&format!(" {line}\n")).count(),
            2,
            "{failed:?}"
        );
    }
    assert!(!failed.stderr.contains("[4/4]"), "{failed:?}");
    site.contree.line("use tag:never:1").ends_with(1);
    // What went well is not done again.
    let again = site.run(&context, &[]).ends_with(1);
    assert!(again.stderr.contains("#2 CACHED"), "{again:?}");

    for (text, args, why) in [
        (
            "FROM tiny\nRUN sleep 600\n",
            &["-t", "1"][..],
            "timed out after 1s",
        ),
        ("FROM tiny\nRUN kill -9 $$\n", &[], "signal 9"),
        (
            "FROM tiny\nRUN [\"/no/such/program\"]\n",
            &[],
            "no such file",
        ),
        (
            "FROM tiny\nUSER nobody-knows\nRUN true\n",
            &[],
            "no user 'nobody-knows'",
        ),
        (
            "FROM --platform=linux/s390x tiny\n",
            &[],
            "--platform=linux/s390x",
        ),
        ("FROM tag:none\n", &[], "tag:none"),
        ("FROM tiny\nFROM $NOTHING\n", &[], "Dockerfile:2"),
        ("RUN true\n", &[], "FROM"),
        ("FROM tiny\nFLY away\n", &[], "FLY"),
        ("", &[], "no FROM"),
    ] {
        let context = site.context("wrong", &[("Dockerfile", text)]);
        site.run(&context, args).ends_with(1).complains(why);
    }
}

#[tokio::test]
async fn privileged_a_stage_that_fails_stops_the_others() {
    let site = Site::new().await;
    let text = "\
FROM tiny AS slow
RUN sleep 600
FROM tiny AS wrong
RUN exit 3
FROM tiny
COPY --from=slow /etc/passwd /a
COPY --from=wrong /etc/passwd /b
";
    let context = site.context("two", &[("Dockerfile", text)]);
    site.run(&context, &[]).ends_with(1).complains("code 3");
    nothing_runs(&site).await;
}

#[tokio::test]
async fn privileged_ctrl_c_cancels_what_runs() {
    let site = Site::new().await;
    let text = "FROM tiny AS a\nRUN sleep 600\nFROM tiny\nRUN sleep 601\nCOPY --from=a / /x\n";
    let context = site.context("long", &[("Dockerfile", text)]);
    let context = context.to_str().expect("a plain name");
    let build = site
        .contree
        .command(&["build", context])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("contree starts");
    let mut filter = OperationFilter::default();
    filter.status = Some(OperationStatus::Executing);
    let client = site.server.client();
    loop {
        let running = client.list_operations(&filter).await.expect("a list");
        if running.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = Pid::from_raw(i32::try_from(build.id()).expect("a process id")).expect("not 0");
    kill_process(pid, Signal::INT).expect("it is there");
    let output = build.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("User interrupted"), "{told}");
    assert_eq!(told.matches("Cancelled operation").count(), 2, "{told}");
    nothing_runs(&site).await;
}

/// Waits until all operations have ended; the last ones were cancelled.
async fn nothing_runs(site: &Site) {
    let client = site.server.client();
    loop {
        let all = client.list_operations(&OperationFilter::default()).await;
        let all = all.expect("a list");
        if all.iter().all(|operation| operation.status.is_terminal()) {
            let is_cancelled = |status| status == OperationStatus::Cancelled;
            assert!(all.iter().any(|operation| is_cancelled(operation.status)));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
