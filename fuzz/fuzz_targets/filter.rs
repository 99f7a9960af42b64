//! A filter that parses is printed, and parses to itself; matching it fails for no resource.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::scim::filter::{Filter, MAX_BYTES};
use scimd_fuzz::world;

fuzz_target!(|text: &str| {
    for kind in world() {
        let Ok(filter) = Filter::parse(&kind.resource_type, text) else { continue };
        let printed = filter.to_string();
        if printed.len() <= MAX_BYTES {
            assert_eq!(
                Filter::parse(&kind.resource_type, &printed).as_ref(),
                Ok(&filter),
                "{printed}"
            );
        }
        let negated = Filter::Not(Box::new(filter.clone()));
        for sample in &kind.samples {
            let matches = filter.matches(&sample.served);
            assert_eq!(negated.matches(&sample.served), !matches);
            // Only what a filter mentions is read before it is matched.
            let mut mentioned = sample.served.clone();
            let names = filter.mentions();
            mentioned.retain(|name, _| names.contains(name.as_str()));
            assert_eq!(filter.matches(&mentioned), matches, "{printed}");
        }
    }
});
