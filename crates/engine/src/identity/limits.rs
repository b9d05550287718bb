//! Limits of one caller: the server's, and within them those of the token.

use std::collections::BTreeMap;

use contree_api::admin::TokenLimits;

use crate::EngineLimits;

/// What a caller is held to: no limit is above the server's.
pub(crate) fn within(limits: &TokenLimits, server: &EngineLimits) -> EngineLimits {
    let timeout = |own: Option<u32>, server: u32| own.map_or(server, |own| own.min(server));
    let instance_max_timeout = timeout(limits.instance_max_timeout, server.instance_max_timeout);
    let images_import_max_timeout = timeout(
        limits.images_import_max_timeout,
        server.images_import_max_timeout,
    );
    EngineLimits {
        instance_max_timeout,
        instance_default_timeout: server.instance_default_timeout.min(instance_max_timeout),
        instance_max_concurrency: width(
            limits.instance_max_concurrency,
            server.instance_max_concurrency,
        ),
        instance_max_layer_bytes: limits
            .instance_max_layer_bytes
            .map_or(server.instance_max_layer_bytes, |own| {
                own.min(server.instance_max_layer_bytes)
            }),
        images_import_max_concurrency: width(
            limits.images_import_max_concurrency,
            server.images_import_max_concurrency,
        ),
        images_import_max_timeout,
        images_import_default_timeout: server
            .images_import_default_timeout
            .min(images_import_max_timeout),
        ..server.clone()
    }
}

fn width(own: Option<u32>, server: usize) -> usize {
    own.map_or(server, |own| {
        server.min(usize::try_from(own).unwrap_or(usize::MAX))
    })
}

/// As `whoami` tells them.
pub(super) fn told(limits: &EngineLimits) -> BTreeMap<String, i64> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    BTreeMap::from([
        (
            "instance_max_timeout".to_owned(),
            i64::from(limits.instance_max_timeout),
        ),
        (
            "instance_max_concurrency".to_owned(),
            count(limits.instance_max_concurrency),
        ),
        (
            "instance_max_layer_bytes".to_owned(),
            i64::try_from(limits.instance_max_layer_bytes).unwrap_or(i64::MAX),
        ),
        (
            "images_import_max_concurrency".to_owned(),
            count(limits.images_import_max_concurrency),
        ),
        (
            "images_import_max_timeout".to_owned(),
            i64::from(limits.images_import_max_timeout),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_counts() {
        let server = EngineLimits::default();
        let own = TokenLimits {
            instance_max_timeout: Some(60),
            instance_max_concurrency: Some(1_000_000),
            images_import_max_concurrency: Some(1),
            ..TokenLimits::default()
        };
        let limits = within(&own, &server);
        assert_eq!(limits.instance_max_timeout, 60);
        assert_eq!(limits.instance_default_timeout, 60);
        assert_eq!(
            limits.instance_max_concurrency,
            server.instance_max_concurrency
        );
        assert_eq!(limits.images_import_max_concurrency, 1);
        assert_eq!(within(&TokenLimits::default(), &server), server);
    }
}
