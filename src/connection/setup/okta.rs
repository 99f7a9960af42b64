//! Okta: an app from the integration catalogue, or one that was built by hand. The two differ in
//! how the app is created and in how changes are sent, but not in fields and mapping.

use super::guide::{
    AttributeMapping, ProviderGuide, ProviderPlace, SetupContext, SetupField, SetupStage,
};

pub(super) static CATALOGUE_APP: ProviderGuide = ProviderGuide {
    provider: "Okta",
    place: ProviderPlace::Cloud,
    oauth: None,
    sends_basic: true,
    prerequisites: PREREQUISITES,
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Add the app, if it does not exist",
            steps: &[
                "Go to Applications > Applications > Browse App Catalog.",
                "Select your application's app. If the catalog has none, select \"SCIM 2.0 Test App (OAuth Bearer \
                 Token)\".",
                "Click Add Integration, then Done.",
            ],
        },
        ENABLE,
        INTEGRATE,
        TEST,
        PROVISION,
        GROUPS,
        ASSIGN,
    ],
    step: STEP,
    success: SUCCESS,
    failure: FAILURE,
};

pub(super) static CUSTOM_APP: ProviderGuide = ProviderGuide {
    provider: "Okta",
    place: ProviderPlace::Cloud,
    oauth: None,
    sends_basic: true,
    prerequisites: PREREQUISITES,
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Create the app, if it does not exist",
            steps: &[
                "Go to Applications > Applications > Create App Integration.",
                "Select SAML 2.0 or SWA; Okta offers no SCIM for OpenID Connect apps. Click Next, and complete the \
                 wizard.",
            ],
        },
        ENABLE,
        INTEGRATE,
        TEST,
        PROVISION,
        GROUPS,
        ASSIGN,
    ],
    step: STEP,
    success: SUCCESS,
    failure: FAILURE,
};

const PREREQUISITES: &[&str] = &[
    "An Okta administrator who may change apps, and an Okta plan with Lifecycle Management.",
    "A certificate from a public CA for the host of public_url, with its chain.",
    "Okta can reach that host and port from the internet; it publishes its addresses at \
     https://s3.amazonaws.com/okta-ip-ranges/ip_ranges.json, which ip_allowlist must contain if it is set. Without \
     an open port: docs/behind-a-firewall.md.",
];

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(
            "SCIM connector base URL",
            place.endpoint,
            "\"SCIM 2.0 Base Url\" in Okta's test apps",
        ),
        SetupField::new("Unique identifier field for users", "userName", ""),
        SetupField::new(
            "Supported provisioning actions",
            "Push New Users, Push Profile Updates, Push Groups",
            "the two Import actions work as well; they read users and groups from scimd into Okta",
        ),
        SetupField::new("Authentication Mode", "HTTP Header", ""),
        SetupField::new(
            "Authorization",
            "the token, without \"Bearer\" before it",
            format!("{}; \"OAuth Bearer Token\" in Okta's test apps", place.token_note()),
        ),
    ]
}

const ENABLE: SetupStage = SetupStage {
    title: "Enable SCIM",
    steps: &[
        "Go to the app in Okta.",
        "Select the General tab.",
        "In the App Settings section, click Edit.",
        "In the Provisioning field, select SCIM, and click Save. Okta's test apps have no such field: in \
         the Provisioning tab click Configure API Integration, and select Enable API Integration.",
    ],
};

const INTEGRATE: SetupStage = SetupStage {
    title: "Set up the SCIM integration",
    steps: &[
        "Select the Provisioning tab.",
        "In Settings > Integration > SCIM Connection, click Edit and enter the values of the table.",
    ],
};

const TEST: SetupStage = SetupStage {
    title: "Test the API credentials",
    steps: &[
        "Click Test API Credentials; in an app that you created it is Test Connector Configuration.",
        "Click Save.",
    ],
};

pub(super) const PROVISION: SetupStage = SetupStage {
    title: "Enable provisioning to the app",
    steps: &[
        "In Provisioning > Settings > To App > Provisioning to App, click Edit.",
        "Enable Create Users, Update User Attributes and Deactivate Users, and click Save.",
        "Compare the Attribute Mapping section below with the attribute mapping table.",
        "For roles and entitlements: click Go to Profile Editor, then Add Attribute for each, with the \
         external name of the table and the external namespace \
         urn:ietf:params:scim:schemas:core:2.0:User; then Mappings, to say which Okta attribute fills it.",
    ],
};

pub(super) const GROUPS: SetupStage = SetupStage {
    title: "Push groups, if groups give access",
    steps: &[
        "Select the Push Groups tab.",
        "Click Push Groups, and find the groups by name or by rule. Okta sends those members that are assigned to \
         the app.",
    ],
};

pub(super) const ASSIGN: SetupStage = SetupStage {
    title: "Assign users to the app",
    steps: &[
        "Select the Assignments tab.",
        "Click Assign, and select Assign to People or Assign to Groups.",
        "Assign the app to the people that should have access.",
        "Click Done. Within a minute `scimd user list` shows each of them.",
    ],
};

pub(super) const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "user.login",
        attribute: "userName",
        meaning: "Application username format, in the Sign On tab. Okta finds the account by this name. Unique in \
            scimd, in any letter case.",
    },
    AttributeMapping {
        source: "id of the user",
        attribute: "externalId",
        meaning: "Always sent. Accounts can be found by it.",
    },
    AttributeMapping {
        source: "assignment and status",
        attribute: "active",
        meaning: "Always sent. false if the user is unassigned or deactivated: the account stays, without access.",
    },
    AttributeMapping {
        source: "user.firstName",
        attribute: "name.givenName",
        meaning: "Given name.",
    },
    AttributeMapping {
        source: "user.lastName",
        attribute: "name.familyName",
        meaning: "Family name.",
    },
    AttributeMapping {
        source: "user.email",
        attribute: "emails.^[primary==true].value",
        meaning: "E-mail address.",
    },
    AttributeMapping {
        source: "user.displayName",
        attribute: "displayName",
        meaning: "The name shown to others.",
    },
    AttributeMapping { source: "user.title", attribute: "title", meaning: "Job title." },
    AttributeMapping {
        source: "user.department",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        meaning: "Department; `unknown_departments` decides whether any text is accepted.",
    },
    AttributeMapping {
        source: "user.employeeNumber",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        meaning: "Stored unchanged.",
    },
    AttributeMapping {
        source: "user.managerId",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        meaning: "Stored unchanged; the manager need not exist in scimd.",
    },
    AttributeMapping {
        source: "an attribute of yours",
        attribute: "roles.^[primary==true].value",
        meaning: "A role, by its name or id.",
    },
    AttributeMapping {
        source: "another one",
        attribute: "roles.^[type=='second'].value",
        meaning: "Another role; each needs an attribute and a type of its own.",
    },
    AttributeMapping {
        source: "another one",
        attribute: "entitlements.^[type=='first'].value",
        meaning: "For example workspace:Main:permission:basic_access; one type for each, as for roles.",
    },
];

pub(super) const GROUP_MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "group name",
        attribute: "displayName",
        meaning: "Unique in scimd. `[[grants]]` with `group` matches it.",
    },
    AttributeMapping {
        source: "group members",
        attribute: "members",
        meaning: "Those assigned to the app. Members have the access that the group's grants give.",
    },
];

const STEP: &str = "Click Test API Credentials (or Test Connector Configuration).";
const SUCCESS: &str = "Okta says that the connector was configured, or that the credentials were verified. `scimd token list` \
     shows a last use of the token.";
const FAILURE: &str = "Okta shows an error, and you can't save. `scimd requests --failed` shows the reason. If it \
    lists no request, none arrived: check certificate, name, port and firewall.";
