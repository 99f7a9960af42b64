//! A PATCH that succeeds leaves a resource that is whole: it reads back, finishing it again changes
//! nothing, and a client may send what it was served.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::scim::exchange::{Exchange, Renaming};
use scimd_fuzz::scim::json::parse_object;
use scimd_fuzz::scim::patch::{self, PatchRequest};
use scimd_fuzz::scim::validate::validate;
use scimd_fuzz::{served, world};

fuzz_target!(|body: &[u8]| {
    let Ok(body) = parse_object(body) else { return };
    for kind in world() {
        let resource_type = &kind.resource_type;
        let Ok(request) = PatchRequest::parse(resource_type, body.clone()) else { continue };
        for operation in &request.operations {
            let _ = operation.elements(resource_type);
        }
        for sample in &kind.samples {
            let Ok(after) = request.apply_all(resource_type, &sample.resource) else { continue };
            let mut again = after.clone();
            patch::finish(resource_type, &again.clone(), &mut again)
                .expect("what was finished is finished");
            assert_eq!(again, after);
            let served = served(resource_type, &after);
            let replace = Exchange::Replace(Renaming::Allowed);
            let sent =
                validate(resource_type, replace, served).expect("what is served may be sent");
            assert_eq!(sent.resource, after);
        }
    }
});
