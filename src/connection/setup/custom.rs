//! The guide for a custom client that uses the flat dialect.

use super::guide::{
    AttributeMapping, FEDERATION, OauthWords, ProviderGuide, ProviderPlace, SetupContext,
    SetupField, SetupStage,
};

pub(super) static GUIDE: ProviderGuide = ProviderGuide {
    provider: "the client",
    place: ProviderPlace::Network,
    oauth: Some(OauthWords {
        endpoint: "SCIM base URL",
        token_endpoint: "Token URL",
        client_id: "Client ID",
        client_secret: "Client secret",
        audience: Some("Audience"),
        federation: FEDERATION,
    }),
    sends_basic: true,
    prerequisites: &[
        "The client reaches the host and port of public_url, from an address on ip_allowlist.",
        "The client trusts the server certificate: issued by a CA it trusts, or scimd's self-signed certificate \
         installed on it.",
        "It can send three headers with every request.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: &[],
    steps: &[
        SetupStage {
            title: "Configure the connection, in config.toml",
            steps: &[
                "default_workspace: the workspace of accounts whose request names none.",
                "service_origin: the value that the client sends in X-Request-Origin.",
                "ip_allowlist, if the client has fixed addresses: single addresses, networks and a-b ranges, \
                 separated by commas.",
                "Run `scimd config check`, then start scimd, or run `scimd reload` if it is running.",
            ],
        },
        SetupStage {
            title: "Generate a SCIM token",
            steps: &[
                "Run the command in the table. Store the token with the client's secrets; it is shown only once.",
            ],
        },
        SetupStage {
            title: "Send requests",
            steps: &[
                "Every request carries the three headers of the table.",
                "POST creates, GET with filter=userName eq \"…\" finds, PUT replaces, PATCH changes, DELETE deletes \
                 permanently.",
            ],
        },
    ],
    step: "Run the command below, with the token in the variable TOKEN.",
    success: "The answer is a ListResponse with totalResults. `scimd token list` shows a last use of the token.",
    failure: "The answer is 401, whether the token, the origin or the address is wrong. `scimd requests --failed` \
        shows the reason.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    let connection = place.connection;
    let origin = connection.service_origin.as_ref().map(ToString::to_string);
    let allowlist = connection.ip_allowlist.as_ref().map(ToString::to_string);
    vec![
        SetupField::new("SCIM API endpoint", format!("{}/Users", place.endpoint), ""),
        SetupField::new("Authorization header", "Bearer, a space, the token", place.token_note()),
        SetupField::new(
            "X-Request-Origin header",
            origin.unwrap_or_default(),
            "the service_origin of the connection",
        ),
        SetupField::new(
            "Content-Type header",
            "application/json",
            "or application/scim+json; needed with a body",
        ),
        SetupField::new(
            "Default workspace",
            &*connection.default_workspace,
            "used if a request names no workspace",
        ),
        SetupField::new(
            "IP allowlist",
            allowlist.unwrap_or_else(|| "any address".to_owned()),
            "addresses that may connect",
        ),
    ]
}

const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "e-mail address",
        attribute: "userName",
        meaning: "Required, as are schemas and name. Unique in any letter case; a PUT can't change it.",
    },
    AttributeMapping {
        source: "given name",
        attribute: "name.givenName",
        meaning: "This or another part of the name is required.",
    },
    AttributeMapping { source: "family name", attribute: "name.familyName", meaning: "As above." },
    AttributeMapping {
        source: "may sign in",
        attribute: "active",
        meaning: "true if omitted. With false the account stays, without access.",
    },
    AttributeMapping {
        source: "department",
        attribute: "department",
        meaning: "One of the accepted values; others get 400.",
    },
    AttributeMapping {
        source: "company permissions",
        attribute: "permissions.companyPermissions",
        meaning: "A list of permissions.",
    },
    AttributeMapping {
        source: "roles",
        attribute: "permissions.roles[]",
        meaning: "Roles: {\"roleName\": …} or {\"roleId\": …}.",
    },
    AttributeMapping {
        source: "workspaces",
        attribute: "permissions.appGroup[]",
        meaning: "Workspaces, by appGroupName or appGroupId. If omitted: the default workspace.",
    },
    AttributeMapping {
        source: "permissions in it",
        attribute: "permissions.appGroup[].appGroupPermissions",
        meaning: "A list of permissions.",
    },
    AttributeMapping {
        source: "permission sets in it",
        attribute: "permissions.appGroup[].appGroupPermissionSets[]",
        meaning: "Permission sets, by appGroupPermissionSetName or appGroupPermissionSetID.",
    },
    AttributeMapping {
        source: "teams in it",
        attribute: "permissions.appGroup[].team[]",
        meaning: "Teams of that workspace, by teamName or teamId.",
    },
    AttributeMapping {
        source: "permissions in a team",
        attribute: "permissions.appGroup[].team[].teamPermissions",
        meaning: "A list of permissions.",
    },
    AttributeMapping {
        source: "nothing: scimd sets them",
        attribute: "id, createdAt, lastSignInAt",
        meaning: "In answers only; times such as \"2024 Nov 11, 4:20 PM\" in UTC, or N/A.",
    },
];
