//! The guide for any client that speaks SCIM 2.0 as the RFCs have it.

use super::guide::{
    AttributeMapping, FEDERATION, OauthWords, ProviderGuide, ProviderPlace, SetupContext,
    SetupField, SetupStage,
};

pub(super) static GUIDE: ProviderGuide = ProviderGuide {
    provider: "the identity provider",
    place: ProviderPlace::Cloud,
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
        "An administrator of the identity provider who may set up provisioning with SCIM 2.0.",
        "A certificate that the identity provider trusts, for the host of public_url, with its chain. Cloud services \
         trust public CAs only.",
        "The identity provider can reach that host and port. If ip_allowlist is set, it must contain the addresses \
         of the identity provider.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Set up provisioning at the identity provider",
            steps: &[
                "Add an application with SCIM 2.0 provisioning, and enter the values of the table.",
                "Run its connection test.",
                "Compare its attribute mapping with the table.",
                "Enable create, update and deactivate for users, and groups if they give access.",
            ],
        },
        SetupStage {
            title: "Assign the first user",
            steps: &[
                "Assign one user. `scimd user list` shows it in scimd.",
                "If it does not arrive, `scimd requests --failed` shows what failed, and why.",
            ],
        },
    ],
    step: "Run the connection test of the identity provider.",
    success: "The test passes. `scimd token list` shows a last use of the token.",
    failure: "`scimd requests --failed` shows the request and the reason. If it lists no request, none arrived: \
        check certificate, name, port and firewall.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new("SCIM base URL", place.endpoint, "without /Users at its end"),
        SetupField::new(
            "Authentication",
            "Bearer token",
            "also called OAuth bearer token or HTTP header",
        ),
        SetupField::new("Token", "the token", place.token_note()),
        SetupField::new("Unique identifier of users", "userName", ""),
    ]
}

const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "user name or e-mail address",
        attribute: "userName",
        meaning: "Required. Unique, in any letter case.",
    },
    AttributeMapping {
        source: "id of the user",
        attribute: "externalId",
        meaning: "An id that never changes and is never given to another user.",
    },
    AttributeMapping {
        source: "may sign in",
        attribute: "active",
        meaning: "true if omitted. With false the account stays, without access.",
    },
    AttributeMapping { source: "given name", attribute: "name.givenName", meaning: "Stored." },
    AttributeMapping { source: "family name", attribute: "name.familyName", meaning: "Stored." },
    AttributeMapping {
        source: "e-mail address",
        attribute: "emails[type eq \"work\"].value",
        meaning: "Stored.",
    },
    AttributeMapping {
        source: "roles",
        attribute: "roles[].value",
        meaning: "The name or id of a configured role; others get 400.",
    },
    AttributeMapping {
        source: "entitlements",
        attribute: "entitlements[].value",
        meaning: "Configured workspaces, teams and permissions.",
    },
];

const GROUP_MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "name of the group",
        attribute: "displayName",
        meaning: "Unique. `[[grants]]` with `group` matches it.",
    },
    AttributeMapping {
        source: "members",
        attribute: "members[].value",
        meaning: "Ids of users in scimd. Members have the access that the group's grants give.",
    },
];
