//! Which control group hierarchies are mounted where.

use std::collections::HashMap;
use std::path::PathBuf;

/// What a machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    /// Version 1: the root folder of each controller's hierarchy.
    V1(HashMap<&'static str, PathBuf>),
    /// Version 2: the root folder of the one hierarchy.
    V2(PathBuf),
    /// Neither.
    Absent,
}

/// Controllers that limit what [`crate::Limits`] names.
pub(crate) const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

impl Hierarchies {
    /// Reads `/proc/self/mountinfo`:
    ///
    /// ```text
    /// 31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:12 - cgroup cgroup rw,memory
    /// 30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
    /// ```
    ///
    /// A machine may have both ("hybrid"); controllers are then with version 1, and version 2 has
    /// none of them. So version 1 counts where it has any.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut v1 = HashMap::new();
        let mut v2 = None;
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else {
                continue;
            };
            let Some(folder) = mount.split(' ').nth(4).map(unescape) else {
                continue;
            };
            let mut words = filesystem.split(' ');
            match words.next() {
                Some("cgroup") => {
                    let options = words.nth(1).unwrap_or_default();
                    for option in options.split(',') {
                        if let Some(name) = CONTROLLERS.iter().find(|name| **name == option) {
                            v1.entry(*name).or_insert_with(|| folder.clone());
                        }
                    }
                }
                Some("cgroup2") => {
                    v2.get_or_insert(folder);
                }
                _ => {}
            }
        }
        match (v1.is_empty(), v2) {
            (false, _) => Self::V1(v1),
            (true, Some(folder)) => Self::V2(folder),
            (true, None) => Self::Absent,
        }
    }
}

/// Mount points have blanks, tabs, line ends and backslashes as `\040` and so on.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'\\', [a, b, c, after @ ..]) = (first, tail)
            && [a, b, c].iter().all(|digit| (b'0'..=b'7').contains(*digit))
        {
            bytes.push((a - b'0').wrapping_mul(64) + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:12 - cgroup cgroup rw,memory
32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 24 0:29 / /sys/fs/cgroup/pi\\040ds rw - cgroup cgroup rw,pids
34 24 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 24 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_what_is_mounted() {
        let Hierarchies::V1(folders) = Hierarchies::parse(HYBRID) else {
            panic!()
        };
        assert_eq!(folders["memory"], PathBuf::from("/sys/fs/cgroup/memory"));
        assert_eq!(folders["cpu"], PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(folders["pids"], PathBuf::from("/sys/fs/cgroup/pi ds"));

        let unified = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            Hierarchies::parse(unified),
            Hierarchies::V2("/sys/fs/cgroup".into())
        );
        assert_eq!(Hierarchies::parse("nonsense\n- \n"), Hierarchies::Absent);
    }
}
