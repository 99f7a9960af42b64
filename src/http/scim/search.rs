//! GET of lists and POST of searches, below a resource type and at the root
//! (RFC 7644, sections 3.4.2 and 3.4.3).

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};

use super::Call;
use super::representation::{ClientView, PageWriter};
use crate::connection::dialect::ResourceForm;
use crate::directory::{Directory, DirectoryError, Search, SearchWork, ShownResource};
use crate::http::error::Failure;
use crate::http::respond::HttpResponse;
use crate::scim::json;
use crate::scim::projection::Projection;
use crate::scim::query::{PageRequest, Parameters, Query, Start};
use crate::scim::schema::ResourceType;

/// The most bytes of a list that is made without a turn.
const SHORT_LIST_BYTES: usize = 256 * 1024;

/// The resources of a list after which it is estimated whether the whole list will be too long.
const SAMPLE: usize = 8;

/// The header with the place of the feed from which to follow what was listed.
const FEED_CURSOR: HeaderName = HeaderName::from_static("scimd-cursor");

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
    if let Some(filter) = targets.iter().find_map(|(_, query)| query.filter.as_ref()) {
        call.notes.filter(filter.outline());
    }
    let mut forms = Forms(Vec::with_capacity(targets.len()));
    for (resource_type, _) in &targets {
        let form = call.form(resource_type, parameters)?;
        forms.0.push((Arc::clone(resource_type), form));
    }
    let search = Search {
        targets,
        page: PageRequest::parse(parameters, call.context.page_limits)?,
        fingerprint: parameters.fingerprint(&call.path.endpoint),
    };
    let wanted = |resource_type: &ResourceType, name: &str| {
        forms.of(resource_type).is_none_or(|form| form.wants(name))
    };
    let work = call.context.directory.search_work(&search, &wanted)?;
    let stored_form = forms.0.iter().all(|(resource_type, form)| form.is_stored(resource_type));
    // Before anything is read: what changes from here on comes after this cursor.
    let is_first = matches!(&search.page.start, Start::Cursor(cursor) if cursor.is_empty());
    let is_walk = is_first && parameters.get("sortBy").is_none();
    let before = is_walk.then(|| call.context.feed.cursor_at(call.context.directory.applied()));
    let count = search.page.count;
    let (directory, base_url) =
        (Arc::clone(&call.context.directory), Arc::clone(&call.context.base_url));
    let run =
        move |most_bytes, short| page(&directory, &base_url, &search, &forms, most_bytes, short);
    let whole = |most_bytes| run(most_bytes, None);
    let (limits, connection) = (&call.context.work_limits, call.connection);
    let mut answer = match work {
        SearchWork::Short => limits.short(connection, || whole(usize::MAX)).await,
        // In another form a resource takes far longer than its bytes tell.
        SearchWork::List if stored_form => {
            let short = || run(usize::MAX, Some(ShortList { count, shown: 0 }));
            match limits.short(connection, short).await {
                Err(Failure::Directory(DirectoryError::Large)) => {
                    limits.scan(connection, whole).await
                }
                answer => answer,
            }
        }
        SearchWork::Long => limits.long(connection, whole).await,
        SearchWork::List | SearchWork::Scan => limits.scan(connection, whole).await,
    }?;
    if let Some(Ok(cursor)) = before.map(|cursor| HeaderValue::from_str(&cursor.to_string())) {
        answer.headers_mut().insert(FEED_CURSOR, cursor);
    }
    Ok(answer)
}

/// The form in which the resources of each type are shown: a list has few types.
struct Forms(Vec<(Arc<ResourceType>, ResourceForm)>);

impl Forms {
    fn of(&self, resource_type: &ResourceType) -> Option<&ResourceForm> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known.tag == resource_type.tag).map(|(_, form)| form)
    }
}

/// A list that is made without a turn, as long as it is short.
struct ShortList {
    /// How many resources are asked for.
    count: usize,
    /// How many there are so far.
    shown: usize,
}

impl ShortList {
    /// Whether it is still short with one more resource, which makes it `bytes` long.
    fn stays_with(&mut self, bytes: usize) -> bool {
        self.shown += 1;
        // A list that turns out too long is made a second time: the sooner that is known, the better.
        let expected = if self.shown == SAMPLE { bytes / SAMPLE * self.count } else { 0 };
        bytes.max(expected) <= SHORT_LIST_BYTES
    }
}

/// Writes the page that a search finds, in the forms of its resource types; `Large` if it has to be short and is not.
fn page(
    directory: &Directory,
    base_url: &str,
    search: &Search,
    forms: &Forms,
    most_bytes: usize,
    mut short: Option<ShortList>,
) -> Result<HttpResponse, Failure> {
    let everything = ResourceForm::Rfc(Projection::everything());
    let form_of = |resource_type: &ResourceType| forms.of(resource_type).unwrap_or(&everything);
    let (mut writer, mut problem) = (PageWriter::new(), Ok(()));
    let mut add = |resource_type: &ResourceType, resource: ShownResource| {
        let catalogue = directory.catalogue();
        let view = ClientView { base_url, catalogue, form: form_of(resource_type) };
        let bytes =
            writer.len() + resource.stored.record.json.len() + resource.reference_bytes(base_url);
        if short.as_mut().is_some_and(|short| !short.stays_with(bytes)) {
            problem = Err(DirectoryError::Large.into());
            return false;
        }
        writer.add(view, resource_type, resource).unwrap_or_else(|failure| {
            problem = Err(failure);
            false
        })
    };
    let wanted = |resource_type: &ResourceType, name: &str| form_of(resource_type).wants(name);
    let page = directory.query(search, &wanted, most_bytes, &mut add)?;
    problem.map(|()| writer.finish(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_short_up_to_256_kib_and_while_it_is_not_about_to_be_longer() {
        let stays = |count: usize, each: usize| {
            let mut list = ShortList { count, shown: 0 };
            (1..=count).position(|number| !list.stays_with(number * each)).map(|place| place + 1)
        };
        assert_eq!(stays(1, SHORT_LIST_BYTES), None);
        assert_eq!(stays(1, SHORT_LIST_BYTES + 1), Some(1));
        assert_eq!(stays(SAMPLE - 1, SHORT_LIST_BYTES / 4), Some(5));
        assert_eq!(stays(128, 2048), None);
        // One of eight is enough to know it.
        assert_eq!(stays(129, 2048), Some(SAMPLE));
        let mut list = ShortList { count: 200, shown: 0 };
        let late = (1..=200).position(|number| {
            !list.stays_with(if number < 100 { number } else { number * 2_000 })
        });
        assert_eq!(late, Some(131));
    }
}
