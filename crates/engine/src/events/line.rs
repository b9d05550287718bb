//! The head of a log line, read without parsing the whole of it.
//!
//! Lines are written by [`super::log`] alone, so their keys come in a known order:
//! `{"id":N,"ts":"…","spid":N,"type":"…","data":…}`, `spid` absent on `completion`.

/// What is needed to filter and frame an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) spid: Option<u32>,
    pub(crate) kind: &'static str,
}

const KINDS: [&str; 11] = [
    "stdout",
    "stderr",
    "stdin",
    "init",
    "network",
    "spawn",
    "truncated",
    "exit",
    "size_cap",
    "shutdown",
    "completion",
];

/// Reads the head of a line; none when it is not one of ours.
pub(crate) fn head(line: &[u8]) -> Option<Head> {
    let (id, rest) = number(line.strip_prefix(br#"{"id":"#)?)?;
    let rest = rest.strip_prefix(br#","ts":""#)?;
    let quote = rest.iter().position(|&byte| byte == b'"')?;
    let rest = &rest[quote + 1..];
    let (spid, rest) = match rest.strip_prefix(br#","spid":"#) {
        Some(rest) => {
            let (spid, rest) = number(rest)?;
            (Some(u32::try_from(spid).ok()?), rest)
        }
        None => (None, rest),
    };
    let rest = rest.strip_prefix(br#","type":""#)?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    let kind = KINDS
        .into_iter()
        .find(|kind| kind.as_bytes() == &rest[..end])?;
    Some(Head { id, spid, kind })
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((number, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use contree_api::event::{Chunk, Completion, Event, EventData, Exit, ExitResources};
    use contree_api::operation::OperationStatus;
    use contree_api::stream::Encoding;

    use super::*;

    #[test]
    fn heads_of_what_is_written() {
        let events = [
            (
                Some(0),
                EventData::Stderr(Chunk {
                    value: "\"type\":\"exit\"\n".into(),
                    encoding: Encoding::Ascii,
                    truncated: false,
                }),
            ),
            (
                Some(4_000_000_000),
                EventData::Exit(Exit {
                    pid: 1,
                    code: 0,
                    signal: -1,
                    core_dump: false,
                    timed_out: false,
                    duration_ms: 1,
                    resources: ExitResources::default(),
                }),
            ),
            (
                None,
                EventData::Completion(Completion {
                    status: OperationStatus::Success,
                    result_image_uuid: None,
                    error: None,
                    duration_ms: 1,
                    image_size_bytes: 0,
                }),
            ),
        ];
        for (id, (spid, data)) in (u64::MAX - 9..).zip(events) {
            let kind = data.type_name();
            let event = Event {
                id,
                ts: "2026-06-08T20:00:00.123456789Z".into(),
                spid,
                data,
            };
            let line = serde_json::to_vec(&event).unwrap();
            assert_eq!(head(&line), Some(Head { id, spid, kind }));
            for cut in 0..line.len().min(60) {
                // A torn line is none, or has a head that is complete.
                assert!(head(&line[..cut]).is_none_or(|head| head.id == id));
            }
        }
        assert_eq!(head(b""), None);
        assert_eq!(head(b"{}"), None);
    }
}
