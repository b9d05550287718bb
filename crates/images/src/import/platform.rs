//! Which of the platforms an image is built for runs here.

use std::fmt;

use serde::Deserialize;

/// Operating system, processor and variant, in the words of Go that registries use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    architecture: Box<str>,
    variant: Option<Box<str>>,
}

/// What an index or a config says it is for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Described {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
}

impl Platform {
    /// The machine this program was built for.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::linux(architecture, (architecture == "arm").then_some("v7"))
    }

    /// Linux on a processor, such as `amd64`, or `arm` with variant `v7`.
    #[must_use]
    pub fn linux(architecture: &str, variant: Option<&str>) -> Self {
        Self {
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        }
    }

    /// How well `offered` fits; more is better, none is not at all.
    ///
    /// Variants of `arm` contain the lower ones. `arm64` has no variant in practice but `v8`,
    /// which is what every such machine is. Of `amd64` only the baseline (`v1`) is sure to run:
    /// images of higher levels are built beside one of the baseline.
    pub(super) fn fit(&self, offered: &Described) -> Option<u32> {
        if offered.os != "linux" || offered.architecture != *self.architecture {
            return None;
        }
        let level = |variant: &str| variant.strip_prefix('v')?.parse::<u32>().ok();
        let own = self.variant.as_deref().and_then(level);
        match (
            &*self.architecture,
            offered.variant.as_deref().filter(|name| !name.is_empty()),
        ) {
            ("arm", None) => Some(1),
            ("arm", Some(variant)) => {
                let level = level(variant)?;
                (level <= own.unwrap_or(7)).then_some(1 + level)
            }
            ("arm64", Some("v8")) | ("amd64", Some("v1")) => Some(2),
            ("arm64" | "amd64", Some(_)) => None,
            (_, None) => Some(1),
            (_, Some(variant)) => (Some(variant) == self.variant.as_deref()).then_some(2),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits() {
        let offered = |text: &str| {
            let mut parts = text.split('/').map(str::to_owned);
            Described {
                os: parts.next().unwrap(),
                architecture: parts.next().unwrap(),
                variant: parts.next(),
            }
        };
        let fit = |own: &Platform, text: &str| own.fit(&offered(text));
        let amd64 = Platform::linux("amd64", None);
        assert_eq!(fit(&amd64, "linux/amd64"), Some(1));
        assert_eq!(fit(&amd64, "linux/amd64/v1"), Some(2));
        assert_eq!(fit(&amd64, "linux/amd64/v3"), None);
        assert_eq!(fit(&amd64, "windows/amd64"), None);
        assert_eq!(fit(&amd64, "unknown/unknown"), None);
        let arm = Platform::linux("arm", Some("v7"));
        assert!(fit(&arm, "linux/arm/v7") > fit(&arm, "linux/arm/v6"));
        assert!(fit(&arm, "linux/arm/v6") > fit(&arm, "linux/arm"));
        assert_eq!(fit(&arm, "linux/arm/v8"), None);
        assert_eq!(fit(&arm, "linux/arm64"), None);
        let arm64 = Platform::linux("arm64", None);
        assert!(fit(&arm64, "linux/arm64/v8") > fit(&arm64, "linux/arm64"));
        assert_eq!(fit(&Platform::linux("s390x", None), "linux/s390x"), Some(1));
        assert_eq!(
            Platform::linux("arm", Some("v7")).to_string(),
            "linux/arm/v7"
        );
    }
}
