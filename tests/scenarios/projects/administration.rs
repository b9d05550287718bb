//! `contree admin`, with a profile and with a data folder.

use std::path::Path;

use contree_e2e::rootfs::Tiny;
use contree_e2e::{Contree, Output};
use serde_json::Value;

use super::Office;

fn rows(output: &Output) -> Vec<Value> {
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON object"))
        .collect()
}

/// The token that a command printed, alone on its line.
fn printed_token(output: &Output) -> String {
    let lines: Vec<&str> = output.stdout.lines().collect();
    let [token] = lines[..] else {
        panic!("one line is expected: {output:#?}");
    };
    assert!(token.starts_with("contree_"), "{output:#?}");
    token.to_owned()
}

#[tokio::test]
async fn privileged_operators_use_the_command_line() {
    let mut office = Office::open(&[]);
    let contree = Contree::new(&office.server);
    let data_dir = office.server.data_dir();
    let data_dir = data_dir.to_str().expect("a path");
    let in_folder = |line: &str| {
        let mut words = vec!["admin", "--data-dir", data_dir];
        words.extend(line.split_whitespace());
        contree.run(&words)
    };

    // With the profile, whose token has admin rights; and with the folder of a running server.
    contree
        .line("admin project create team-a")
        .succeeds()
        .shows("team-a");
    in_folder("project create team-b").succeeds();
    contree
        .line("admin project create team-a")
        .ends_with(1)
        .complains("there is a project \"team-a\" already");
    contree
        .line("admin project create not/good")
        .ends_with(1)
        .complains("name must have");
    let listed = contree.line("-o json admin project list").succeeds();
    let names: Vec<_> = rows(&listed)
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["default", "team-a", "team-b"]);

    let made = contree
        .line(
            "admin token create --project team-a --permissions list,spawn --expires 30d --name ci",
        )
        .succeeds();
    let token = printed_token(&made);
    let member = office.holder(&token);
    let told = member.client.whoami().await.unwrap();
    assert!(told.token_expiration.is_some());
    assert!(told.permissions["spawn"] && !told.permissions["import"]);
    let limited = in_folder(
        "token create --project team-b --limit instance_max_concurrency=4 --limit \
         instance_max_timeout=60",
    );
    let limited = office.holder(&printed_token(&limited.succeeds()));
    let told = limited.client.whoami().await.unwrap().limits;
    assert_eq!(
        (
            told["instance_max_concurrency"],
            told["instance_max_timeout"]
        ),
        (4, 60)
    );
    contree
        .line("admin token create --project team-b --limit max=4")
        .ends_with(2)
        .complains("unknown field");
    contree.line("admin token create").ends_with(2);
    contree
        .line("admin token create --project public")
        .ends_with(1)
        .complains("the public namespace is no project");

    // Listed without their texts.
    let listed = contree
        .line("-o json admin token list")
        .succeeds()
        .hides(&token);
    assert_eq!(rows(&listed).len(), 3);
    let of_a = contree
        .line("-o json admin token list --project team-a")
        .succeeds();
    let [row] = &rows(&of_a)[..] else {
        panic!("{of_a:#?}");
    };
    assert_eq!(row["id"], told_id(&member).await);
    assert_eq!(row["permissions"], serde_json::json!(["spawn", "list"]));
    assert_eq!(
        (row["name"].as_str(), row["admin"].as_bool()),
        (Some("ci"), Some(false))
    );

    // A token without admin rights administers nothing.
    contree
        .run(&["--token", &token, "admin", "project", "list"])
        .ends_with(1)
        .complains("this token has no admin rights");

    // Revoked, it is refused at once.
    let id = row["id"].as_str().expect("an id");
    contree.run(&["admin", "token", "revoke", id]).succeeds();
    member.raw.get("/v1/whoami").await.refused(401);
    contree
        .run(&["admin", "token", "revoke", id])
        .ends_with(1)
        .complains("there is no token");

    // Projects go with what is in them, when that is said.
    let image = contree_e2e::import(&limited.client, &Tiny::new().tar(), "base").await;
    contree
        .line("admin project delete team-b")
        .ends_with(1)
        .complains("has 1 images; removing it with them takes force");
    let running = limited
        .client
        .spawn(&super::shell(image, "sleep 3600"))
        .await
        .unwrap()
        .uuid;
    contree
        .line("admin project delete team-b --force")
        .ends_with(1)
        .complains("1 operations that have not ended");
    limited.client.cancel(running).await.unwrap();
    contree_e2e::finished(&limited.client, running).await;
    let logs = || logs_in(&office.server.data_dir().join("events"));
    assert_eq!(logs(), 2);
    contree
        .run(&[
            "admin",
            "publish",
            "--project",
            "team-b",
            "tag:base",
            "common/base",
        ])
        .succeeds()
        .shows("common/base");
    contree
        .line("admin project delete team-b --force")
        .succeeds();
    limited.raw.get("/v1/whoami").await.refused(401);
    assert_eq!(logs(), 0);
    contree.line("images").succeeds().shows("common/base");
    contree
        .line("admin project delete public --force")
        .ends_with(1);

    // Without a server: the folder itself, seen by the next one.
    office.server.stop();
    in_folder("project create offline").succeeds();
    let offline = printed_token(&in_folder("token create --project offline --admin").succeeds());
    let doomed = printed_token(&in_folder("token create --project team-a").succeeds());
    in_folder("unpublish common/base").succeeds();
    in_folder("project delete team-a").succeeds();
    let listed = in_folder("-o json project list").succeeds();
    let names: Vec<_> = rows(&listed)
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["default", "offline"]);
    in_folder("project create team-a").succeeds();
    contree
        .run(&["admin", "--data-dir", "/nowhere", "project", "list"])
        .ends_with(1)
        .complains("is no data folder");
    office.server.start_again();
    let again = office.server.client_with(&offline);
    assert_eq!(again.list_projects().await.unwrap().len(), 3);
    again.whoami().await.unwrap();
    let refused = office
        .server
        .client_with(&doomed)
        .whoami()
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(401));
    // The server that has the folder now is the one that is asked.
    in_folder("project delete offline").succeeds();
    assert_eq!(again.whoami().await.unwrap_err().status(), Some(401));

    // A server that was killed leaves a folder that can be worked on.
    office.server.kill();
    in_folder("project list").succeeds().shows("team-a");
}

async fn told_id(holder: &super::Holder) -> String {
    let told = holder
        .client
        .whoami()
        .await
        .expect("a token is told about itself");
    told.token_uuid.to_string()
}

/// How many event logs there are; each is in a folder of several.
fn logs_in(events: &Path) -> usize {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder can be listed");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect::<Vec<_>>()
    };
    entries(events)
        .iter()
        .map(|folder| entries(folder).len())
        .sum()
}
