//! The settings that can't change while scimd runs.

use crate::config::Config;

/// Resets what can't change while scimd runs to the present settings; returns the keys that differed.
pub(super) fn keep_fixed(wanted: &mut Config, present: &Config) -> Vec<&'static str> {
    // The URL follows from the listener in force, unless it is configured.
    if wanted.listen.tls != present.listen.tls {
        wanted.public_url = present.public_url.clone();
    } else if wanted.public_url == wanted.listen.public_url() {
        wanted.public_url = present.listen.public_url();
    }
    let mut kept = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            kept.push(key);
        }
    };
    keep("console.enabled", wanted.console.enabled != present.console.enabled);
    keep("console.address", wanted.console.address != present.console.address);
    keep("data_dir", wanted.data_dir != present.data_dir);
    keep("listen.address", wanted.listen.address != present.listen.address);
    keep("listen.unix", wanted.listen.unix != present.listen.unix);
    keep("listen.tls", wanted.listen.tls != present.listen.tls);
    keep("log.format", wanted.log.format != present.log.format);
    keep("metrics", wanted.metrics != present.metrics);
    keep("oauth.key_file", wanted.oauth.key_file != present.oauth.key_file);
    keep("store", wanted.store != present.store);
    keep("process", wanted.process != present.process);
    keep("schemas", wanted.schemas != present.schemas);
    wanted.console.enabled = present.console.enabled;
    wanted.console.address = present.console.address;
    wanted.data_dir.clone_from(&present.data_dir);
    wanted.listen.address = present.listen.address;
    wanted.listen.tls = present.listen.tls;
    wanted.listen.unix.clone_from(&present.listen.unix);
    wanted.log.format = present.log.format;
    wanted.metrics = present.metrics.clone();
    wanted.oauth.key_file.clone_from(&present.oauth.key_file);
    wanted.store = present.store.clone();
    wanted.process = present.process.clone();
    wanted.schemas.clone_from(&present.schemas);
    wanted.schema_lines.clone_from(&present.schema_lines);
    kept
}
