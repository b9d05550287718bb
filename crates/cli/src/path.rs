//! Paths as text, without a look at any filesystem.

/// An absolute path with `.`, `..` and repeated slashes taken out by name; above the root there is
/// the root.
pub(crate) fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("//a/./b/../c/", "/a/c"),
            ("/../..", "/"),
            ("a/../../b", "/b"),
        ] {
            assert_eq!(normalized(path), expected);
        }
    }
}
