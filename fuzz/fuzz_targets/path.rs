//! A path that resolves is printed, and resolves to itself; so do the targets of PATCH. Whatever is
//! named, serving what was selected selects the same again, unless a filter looks at what was left out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::scim::error::ScimError;
use scimd_fuzz::scim::patch::PatchRequest;
use scimd_fuzz::scim::path::AttrPath;
use scimd_fuzz::scim::projection::Projection;
use scimd_fuzz::scim::schema::ResourceType;
use scimd_fuzz::scim::sort::SortBy;
use scimd_fuzz::{Kind, world};
use serde_json::{Value, json};

fn patch(resource_type: &ResourceType, path: &str) -> Result<PatchRequest, ScimError> {
    let Value::Object(body) = json!({"Operations": [{"op": "remove", "path": path}]}) else {
        unreachable!("an object")
    };
    PatchRequest::parse(resource_type, body)
}

fn targets(Kind { resource_type, samples }: &Kind, text: &str) {
    let Ok(request) = patch(resource_type, text) else { return };
    for operation in request.operations {
        let target = &operation.target;
        let definition = target.definition(resource_type).expect("what was named is there");
        assert!(!definition.is_read_only(), "{target}");
        if target.filter.is_none() {
            let again = patch(resource_type, &target.to_string()).expect("a path");
            assert_eq!(&again.operations[0].target, target);
        }
        for sample in samples {
            for element in
                sample.served.get(&target.attribute).and_then(Value::as_array).into_iter().flatten()
            {
                target.selects(element);
            }
        }
    }
}

fn projections(Kind { resource_type, samples }: &Kind, text: &str) {
    for (attributes, excluded) in [(Some(text), None), (None, Some(text))] {
        let Ok(projection) = Projection::parse(resource_type, attributes, excluded) else { return };
        for sample in samples {
            let once = projection.apply(resource_type, sample.served.clone());
            for name in once.keys() {
                assert!(projection.wants(name), "{name} is served, so it has to be read");
            }
            let again = projection.apply(resource_type, once.clone());
            assert!(again == once || text.contains('['));
        }
    }
}

fuzz_target!(|text: &str| {
    for kind in world() {
        let resource_type = &kind.resource_type;
        if let Ok(path) = AttrPath::resolve_whole(resource_type, text) {
            assert_eq!(AttrPath::resolve_whole(resource_type, &path.to_string()), Ok(path));
        }
        if let Ok(path) = AttrPath::resolve(resource_type, text) {
            assert_eq!(AttrPath::resolve(resource_type, &path.to_string()), Ok(path));
        }
        if let Ok(sort) = SortBy::parse(resource_type, text, None) {
            for sample in &kind.samples {
                assert_eq!(sort.key(&sample.served), sort.key(&sample.served));
            }
        }
        targets(kind, text);
        projections(kind, text);
    }
});
