//! GET of lists and POST of searches, below a resource type and at the root
//! (RFC 7644, sections 3.4.2 and 3.4.3).

use std::collections::HashMap;
use std::sync::Arc;

use super::{Call, representation};
use crate::connection::dialect::ResourceForm;
use crate::directory::{Page, Search};
use crate::http::error::Failure;
use crate::http::respond::HttpResponse;
use crate::scim::json;
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Parameters, Query};
use crate::scim::schema::ResourceType;

/// How many resources, members and pieces of access a short page shows at most.
const SHORT_PAGE: usize = 32;

/// `GET` of a list of one resource type.
pub(in crate::http) async fn query(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let parameters = call.parameters()?;
    one_type(&call, &parameters).await
}

/// `POST` of a search in one resource type.
pub(in crate::http) async fn search(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let parameters = parameters(&call.body)?;
    one_type(&call, &parameters).await
}

/// `GET` of a list of all resource types.
pub(in crate::http) async fn query_all_types(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let parameters = call.parameters()?;
    all_types(&call, &parameters).await
}

/// `POST` of a search in all resource types.
pub(in crate::http) async fn search_all_types(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let parameters = parameters(&call.body)?;
    all_types(&call, &parameters).await
}

async fn one_type(call: &Call<'_>, parameters: &Parameters) -> Result<HttpResponse, Failure> {
    let resource_type = call.resource_type()?;
    let query = Query::parse(&resource_type, parameters)?;
    run(call, vec![(resource_type, query)], parameters).await
}

/// Searches all resource types. A type whose schema lacks an attribute of the filter or of the order has
/// no match; if all types lack it, the request fails.
async fn all_types(call: &Call<'_>, parameters: &Parameters) -> Result<HttpResponse, Failure> {
    let mut targets = Vec::new();
    let mut unfit = None;
    for resource_type in call.context.directory.registry().resource_types() {
        match Query::parse(resource_type, parameters) {
            Ok(query) => targets.push((Arc::clone(resource_type), query)),
            Err(error) => unfit = Some(error),
        }
    }
    match unfit {
        Some(error) if targets.is_empty() => Err(error.into()),
        _ => run(call, targets, parameters).await,
    }
}

/// The parameters in the body of a search request.
pub(super) fn parameters(body: &[u8]) -> Result<Parameters, Failure> {
    Ok(Parameters::from_search_request(&json::parse_object(body)?)?)
}

async fn run(
    call: &Call<'_>,
    targets: Vec<(Arc<ResourceType>, Query)>,
    parameters: &Parameters,
) -> Result<HttpResponse, Failure> {
    let mut forms = HashMap::new();
    for (resource_type, _) in &targets {
        forms.insert(resource_type.name.clone(), call.form(resource_type, parameters)?);
    }
    let search = Search {
        targets,
        page: PageRequest::parse(parameters, call.context.page_limits)?,
        fingerprint: parameters.fingerprint(&call.path.endpoint),
    };
    let forms = Arc::new(forms);
    let (directory, of_types) = (Arc::clone(&call.context.directory), Arc::clone(&forms));
    let is_quick = search.is_quick();
    let work = move || {
        directory.query(&search, &|resource_type, name| {
            of_types.get(&resource_type.name).is_none_or(|form| form.wants(name))
        })
    };
    let (page, permit) = if is_quick {
        (work()?, None)
    } else {
        // A scan runs on a thread that may block, and few run at a time. It goes on after its client has
        // gone or its request has timed out, and so it keeps the permit.
        let scans = Arc::clone(&call.context.work_limits.scans);
        let permit = scans.acquire_owned().await.map_err(|_| Failure::Internal)?;
        let work = move || work().map(|page| (page, Some(permit)));
        tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Internal)??
    };
    let everything = ResourceForm::Rfc(Projection::everything());
    let view = |resource_type: &ResourceType| {
        call.view(forms.get(&resource_type.name).unwrap_or(&everything))
    };
    if is_quick && is_short(&page) {
        return representation::page(&page, view);
    }
    match permit {
        Some(_permit) => tokio::task::block_in_place(|| representation::page(&page, view)),
        None => call.context.work_limits.run_heavy(|| representation::page(&page, view)).await,
    }
}

/// Whether writing the page takes less time than moving the thread's other connections.
fn is_short(page: &Page) -> bool {
    let shown = page.resources.iter().map(|(_, stored)| {
        let references = stored.references.iter().map(|(_, list)| list.len()).sum::<usize>();
        1 + references + stored.access.as_ref().map_or(0, |access| access.pieces.len())
    });
    shown.sum::<usize>() <= SHORT_PAGE
}
