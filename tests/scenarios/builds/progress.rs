//! What a person at a terminal sees.

use contree_e2e::Key;

use super::Site;

const DOCKERFILE: &str = "\
FROM tiny AS build
RUN echo first line; echo second line; until test -e /dev/shm/never; do sleep 0.1; done
";

#[tokio::test]
async fn privileged_steps_are_drawn_and_stay_on_the_screen() {
    let site = Site::new().await;
    let text = "FROM tiny AS base\nRUN echo seen\nFROM base\nRUN seq 40\n";
    let context = site.context("drawn", &[("Dockerfile", text)]);
    let context = context.to_str().expect("a plain name");
    let mut terminal = site
        .contree
        .terminal(&["build", context, "--tag", "drawn:1"]);
    assert_eq!(terminal.ended(), 0);
    let screen = terminal.screen_text();
    let at = |text: &str| {
        let found = screen.find(text);
        found.unwrap_or_else(|| panic!("{text:?} is not on the screen:\n{screen}"))
    };
    assert!(at("[+] Building ") < at(" => [base 1/2] FROM tiny AS base"));
    assert!(at(" => [base 2/2] RUN echo seen") < at(" => [stage-1 2/2] RUN seq 40"));
    assert!(at("(5/5) FINISHED") < at(" => exporting to image"));
    assert!(at(" => exporting to image") < at("drawn:1"));
    assert!(
        !screen.contains("=> => #"),
        "output does not stay:\n{screen}"
    );

    let mut terminal = site.contree.terminal(&["build", context]);
    assert_eq!(terminal.ended(), 0);
    terminal.shows(" => CACHED [stage-1 2/2] RUN seq 40");
    // Plain lines on a terminal too, when asked for.
    let mut terminal = site
        .contree
        .terminal(&["build", context, "--progress", "plain"]);
    assert_eq!(terminal.ended(), 0);
    terminal.shows("#2 CACHED");
    let plain = site.run(context.as_ref(), &["--progress", "tty"]);
    plain.ends_with(1).complains("needs a terminal");
}

#[tokio::test]
async fn privileged_output_of_a_running_step_is_below_it_until_ctrl_c() {
    let site = Site::new().await;
    let context = site.context("running", &[("Dockerfile", DOCKERFILE)]);
    let context = context.to_str().expect("a plain name");
    let mut terminal = site.contree.terminal(&["build", context]);
    terminal.wait_for("the output below the step", |screen| {
        let text = screen.contents();
        let step = text.find(" => [build 2/2] RUN echo first line");
        let first = text.find(" => => # first line");
        let second = text.find(" => => # second line");
        step < first && first < second && step.is_some()
    });
    terminal.press(Key::Ctrl('c'));
    assert_eq!(terminal.ended(), 1);
    terminal.shows("User interrupted");
    terminal.shows("(1/3) ERROR");
    terminal.shows(" => CANCELED [build 2/2] RUN echo first line");
}
