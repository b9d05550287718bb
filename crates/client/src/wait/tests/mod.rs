//! The waits against a server that does what the test wants.

mod fake;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contree_api::OperationId;
use tokio::sync::Notify;

use self::fake::{Fake, FeedMode, opened, request, succeeds, waiting};
use crate::{Client, Config, Contree, Error, RetryPolicy};

#[tokio::test]
async fn an_end_is_told_and_asked_for_once() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    let before = fake.asked();
    let operation = contree.spawn(&request()).await.unwrap();
    let wait = waiting(&operation).await;
    fake.end(operation.id());
    succeeds(wait).await;
    assert_eq!(fake.asked() - before, 1);
    // Waiting for what has ended is one more question.
    succeeds(waiting(&operation).await).await;
    assert_eq!(fake.asked() - before, 2);
    assert_eq!(contree.waiter.board.counts(), (0, 0));
}

#[tokio::test]
async fn an_end_before_the_answer_is_remembered() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    *fake.ends_at_once.lock().unwrap() = true;
    let before = fake.asked();
    for _ in 0..100 {
        let operation = contree.spawn(&request()).await.unwrap();
        succeeds(waiting(&operation).await).await;
    }
    assert_eq!(fake.asked() - before, 100);
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1);
}

/// The first run of all: the connection is made while the POST is under way.
#[tokio::test]
async fn an_end_before_the_connection_is_asked_for() {
    let (fake, contree) = Fake::start().await;
    *fake.ends_at_once.lock().unwrap() = true;
    let operation = contree.spawn(&request()).await.unwrap();
    succeeds(waiting(&operation).await).await;
}

/// The answer to the question is old when the end is told.
#[tokio::test]
async fn an_end_during_the_question_is_not_lost() {
    let (fake, contree) = Fake::start().await;
    let gate = Arc::new(Notify::new());
    *fake.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.end(operation.id());
    *fake.gate.lock().unwrap() = None;
    gate.notify_one();
    succeeds(wait).await;
}

#[tokio::test]
async fn what_ended_while_the_connection_was_gone_is_asked_for() {
    for cleanly in [true, false] {
        let (fake, contree) = Fake::start().await;
        let operations: Vec<_> = (0..3).map(|_| contree.operation(fake.add())).collect();
        let mut waits = Vec::new();
        for operation in &operations {
            waits.push(waiting(operation).await);
        }
        fake.until(&fake.asked, 3).await;
        fake.set(FeedMode::Status(503));
        fake.cut(cleanly);
        // It is refused a few times while one of them ends unheard.
        fake.until(&fake.opened, 4).await;
        fake.end(operations[0].id());
        fake.set(FeedMode::Works);
        let mut waits = waits.into_iter();
        succeeds(waits.next().unwrap()).await;
        fake.end(operations[1].id());
        fake.end(operations[2].id());
        for wait in waits {
            succeeds(wait).await;
        }
    }
}

#[tokio::test]
async fn a_mark_of_an_earlier_connection_counts_for_nothing() {
    let (fake, contree) = Fake::start().await;
    opened(&fake, &contree).await;
    let operation = contree.spawn(&request()).await.unwrap();
    fake.cut(true);
    fake.end_untold(operation.id());
    fake.until(&fake.opened, 2).await;
    succeeds(waiting(&operation).await).await;
}

#[tokio::test]
async fn what_was_forgotten_is_asked_for() {
    let (fake, contree) = Fake::start().await;
    let held = opened(&fake, &contree).await;
    let wait = waiting(&held).await;
    let operation = contree.spawn(&request()).await.unwrap();
    fake.end(operation.id());
    let other = fake.add();
    for _ in 0..super::board::MAX_REMEMBERED {
        fake.end(other);
    }
    fake.end(held.id());
    // Everything before was read when this is.
    succeeds(wait).await;
    succeeds(waiting(&operation).await).await;
}

#[tokio::test]
async fn a_server_without_a_feed_is_followed() {
    for mode in [
        FeedMode::Status(404),
        FeedMode::Status(422),
        FeedMode::Status(403),
        FeedMode::NoStream,
    ] {
        let (fake, contree) = Fake::start().await;
        fake.set(mode);
        let operation = contree.spawn(&request()).await.unwrap();
        let wait = waiting(&operation).await;
        fake.until(&fake.followed, 1).await;
        fake.end(operation.id());
        succeeds(wait).await;
        let asked = fake.opened.load(Ordering::SeqCst);
        let next = contree.spawn(&request()).await.unwrap();
        fake.end(next.id());
        succeeds(waiting(&next).await).await;
        assert_eq!(
            fake.opened.load(Ordering::SeqCst),
            asked,
            "it is remembered"
        );
    }
}

#[tokio::test]
async fn a_feed_that_stays_broken_is_given_up() {
    for mode in [FeedMode::Status(500), FeedMode::Silent] {
        let (fake, mut contree) = Fake::start().await;
        // The silence is waited for several times.
        contree.waiter.opening = Duration::from_millis(200);
        fake.set(mode);
        let operation = contree.operation(fake.add());
        let wait = waiting(&operation).await;
        fake.until(&fake.followed, 1).await;
        fake.end(operation.id());
        succeeds(wait).await;
    }
}

#[tokio::test]
async fn a_fault_in_the_stream_is_a_break() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.end_untold(operation.id());
    fake.send("event: sse_error\ndata: you read too slowly\n\n");
    succeeds(wait).await;
    assert_eq!(fake.opened.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_silent_connection_is_made_again() {
    let (linger, idle) = (Duration::from_secs(60), Duration::from_millis(100));
    let (fake, contree) = Fake::start_with(linger, idle).await;
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.end_untold(operation.id());
    succeeds(wait).await;
}

#[tokio::test]
async fn other_frames_and_states_are_passed_over() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 1).await;
    fake.tell(operation.id());
    fake.send("event: novelty\ndata: x\n\n: comment\n\n");
    fake.end(operation.id());
    succeeds(wait).await;
    assert_eq!(fake.asked(), 2);
    assert_eq!(fake.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let (_fake, contree) = Fake::start().await;
    let error = contree.operation(OperationId::new()).wait().await;
    assert!(error.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_in_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = Config::new(format!("http://{address}"), "t");
    config.retry = RetryPolicy {
        delays: vec![Duration::ZERO],
        ..RetryPolicy::default()
    };
    let contree = Contree::new(Client::new(config).unwrap());
    let error = contree.operation(OperationId::new()).wait().await;
    assert!(matches!(error, Err(Error::Connect { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_wait_over_one_connection() {
    let (fake, contree) = Fake::start().await;
    let mut operations = Vec::new();
    for _ in 0..3_000 {
        operations.push(contree.operation(fake.add()));
    }
    let mut waits = Vec::new();
    for operation in &operations {
        waits.push(waiting(operation).await);
    }
    // While they end, the connection breaks now and then.
    for (index, operation) in operations.iter().enumerate() {
        if index % 1_000 == 500 {
            fake.cut(false);
        }
        fake.end(operation.id());
    }
    for wait in waits {
        succeeds(wait).await;
    }
    assert_eq!(contree.waiter.board.counts(), (0, 0));
    assert_eq!(fake.followed.load(Ordering::SeqCst), 0);
}

/// Starts, ends, breaks and waits in every order that two threads find.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_of_things_loses_an_end() {
    let (fake, contree) = Fake::start().await;
    let mut runs = Vec::new();
    for index in 0..2_000_u32 {
        let (fake, contree) = (Arc::clone(&fake), contree.clone());
        runs.push(tokio::spawn(async move {
            let operation = contree.spawn(&request()).await?;
            let id = operation.id();
            let ender = Arc::clone(&fake);
            let ending = tokio::spawn(async move {
                for _ in 0..index % 7 {
                    tokio::task::yield_now().await;
                }
                ender.end(id);
            });
            if index % 50 == 49 {
                fake.cut(index % 100 == 49);
            }
            for _ in 0..index % 5 {
                tokio::task::yield_now().await;
            }
            let answer = operation.wait().await?;
            ending.await.unwrap();
            Ok(answer.summary.status)
        }));
    }
    for run in runs {
        succeeds(run).await;
    }
    assert_eq!(contree.waiter.board.counts(), (0, 0));
}

#[tokio::test]
async fn a_dropped_wait_leaves_nothing_and_an_unused_connection_is_closed() {
    let (linger, idle) = (Duration::from_millis(20), Duration::from_secs(60));
    let (fake, contree) = Fake::start_with(linger, idle).await;
    let operation = contree.operation(fake.add());
    let first = waiting(&operation).await;
    let second = waiting(&operation).await;
    fake.until(&fake.asked, 2).await;
    assert_eq!(contree.waiter.board.counts(), (2, 1));
    first.abort();
    let _ = first.await;
    assert_eq!(contree.waiter.board.counts(), (1, 1));
    assert!(contree.waiter.board.is_open());
    fake.end(operation.id());
    succeeds(second).await;
    let feed = fake.feeds.lock().unwrap().remove(0);
    feed.closed().await;
    assert!(contree.waiter.board.is_off());
    // The next wait opens another.
    let operation = contree.operation(fake.add());
    let wait = waiting(&operation).await;
    fake.until(&fake.opened, 2).await;
    fake.end(operation.id());
    succeeds(wait).await;
}

/// The runtime that held the connection is gone; the waits of another one go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends_takes_no_wait_with_it() {
    let (fake, contree) = Fake::start().await;
    let operation = contree.operation(fake.add());
    let first = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let other = operation.clone();
    first.spawn(async move { other.wait().await });
    fake.until(&fake.asked, 1).await;
    let wait = waiting(&operation).await;
    fake.until(&fake.asked, 2).await;
    first.shutdown_background();
    fake.until(&fake.opened, 2).await;
    fake.end(operation.id());
    succeeds(wait).await;
}
