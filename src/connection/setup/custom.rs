//! The guide for a custom client that uses the flat dialect.

use super::guide::{AttributeMapping, ProviderGuide, SetupContext, SetupField, SetupStage};

pub(super) static GUIDE: ProviderGuide = ProviderGuide {
    provider: "the client",
    is_cloud: false,
    prerequisites: &[
        "The client reaches the host and port of public_url, from an address on ip_allowlist.",
        "It trusts the certificate: one of an authority that it knows, or the one that scimd made, given \
         to it as a file.",
        "It can send three headers with every request.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: &[],
    steps: &[
        SetupStage {
            title: "Configure the connection, in config.toml",
            steps: &[
                "default_workspace: where an account goes whose request names no workspace.",
                "service_origin: the domain that the client names in X-Request-Origin.",
                "ip_allowlist, if the client has fixed addresses: single ones, networks and a-b ranges, with \
                 commas.",
                "`scimd config check`, then start scimd, or reload it if it runs.",
            ],
        },
        SetupStage {
            title: "Generate a SCIM token",
            steps: &[
                "With the command in the table. Keep it where the client keeps its secrets: it is shown this once.",
            ],
        },
        SetupStage {
            title: "Send requests",
            steps: &[
                "Every request carries the three headers of the table.",
                "POST creates, GET with filter=userName eq \"…\" finds, PUT replaces, PATCH changes, DELETE \
                 removes for good.",
            ],
        },
    ],
    step: "Run the line below, with the token in TOKEN.",
    success: "A ListResponse with totalResults. `scimd token list` shows a last use of the token.",
    failure: "401, for a wrong token, another origin or an address that is not allowed alike: the log of scimd \
              has the reason, in a line with \"refused\".",
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
            "where an account goes whose request names no workspace",
        ),
        SetupField::new(
            "IP allowlist",
            allowlist.unwrap_or_else(|| "any address".to_owned()),
            "where requests may come from",
        ),
    ]
}

const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "e-mail address",
        attribute: "userName",
        meaning: "Needed, as are schemas and name. Unique, in any letter case; a PUT can't change it.",
    },
    AttributeMapping {
        source: "given name",
        attribute: "name.givenName",
        meaning: "This or another part of the name is needed.",
    },
    AttributeMapping { source: "family name", attribute: "name.familyName", meaning: "The same." },
    AttributeMapping {
        source: "may sign in",
        attribute: "active",
        meaning: "true unless it is sent. false: the account stays, without any access.",
    },
    AttributeMapping {
        source: "department",
        attribute: "department",
        meaning: "One of those below; any other is 400.",
    },
    AttributeMapping {
        source: "company permissions",
        attribute: "permissions.companyPermissions",
        meaning: "A list of words.",
    },
    AttributeMapping {
        source: "roles",
        attribute: "permissions.roles[]",
        meaning: "Each a role: {\"roleName\": …} or {\"roleId\": …}.",
    },
    AttributeMapping {
        source: "workspaces",
        attribute: "permissions.appGroup[]",
        meaning: "Each a workspace: appGroupName or appGroupId. If there is none: the default workspace.",
    },
    AttributeMapping {
        source: "permissions in it",
        attribute: "permissions.appGroup[].appGroupPermissions",
        meaning: "A list of words.",
    },
    AttributeMapping {
        source: "permission sets in it",
        attribute: "permissions.appGroup[].appGroupPermissionSets[]",
        meaning: "Each a permission set: appGroupPermissionSetName or appGroupPermissionSetID.",
    },
    AttributeMapping {
        source: "teams in it",
        attribute: "permissions.appGroup[].team[]",
        meaning: "Each a team of that workspace: teamName or teamId.",
    },
    AttributeMapping {
        source: "permissions in a team",
        attribute: "permissions.appGroup[].team[].teamPermissions",
        meaning: "A list of words.",
    },
    AttributeMapping {
        source: "nothing: scimd sets them",
        attribute: "id, createdAt, lastSignInAt",
        meaning: "In answers only; moments as in \"2024 Nov 11, 4:20 PM\", in UTC, or N/A.",
    },
];
