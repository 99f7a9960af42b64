//! A body that is accepted becomes a resource that reads back, and that is the same when a client
//! sends what it was served.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::scim::exchange::{Exchange, Renaming};
use scimd_fuzz::scim::json::parse_object;
use scimd_fuzz::scim::patch;
use scimd_fuzz::scim::validate::{check_immutable, validate};
use scimd_fuzz::{served, world};

fuzz_target!(|body: &[u8]| {
    let Ok(body) = parse_object(body) else { return };
    for kind in world() {
        let resource_type = &kind.resource_type;
        let Ok(validated) = validate(resource_type, Exchange::Create, body.clone()) else {
            continue;
        };
        let mut resource = validated.resource;
        resource.complete(resource_type, None);
        let replace = [Renaming::Allowed, Renaming::Refused].map(Exchange::Replace);
        for exchange in [Exchange::Create].into_iter().chain(replace) {
            let sent = validate(resource_type, exchange, served(resource_type, &resource));
            let sent = sent.expect("what is served may be sent");
            assert!(sent.unknown.is_empty(), "{:?}", sent.unknown);
            assert_eq!(sent.resource, resource);
            check_immutable(resource_type, &resource, &sent.resource).expect("nothing changed");
        }
        let mut finished = resource.clone();
        patch::finish(resource_type, &finished.clone(), &mut finished)
            .expect("what is valid is whole");
        assert_eq!(finished, resource);
    }
});
