//! Okta: an app from the integration catalogue, or one that was built by hand. The two differ in
//! how the app is created and in how changes are sent, but not in fields and mapping.

use super::guide::{AttributeMapping, ProviderGuide, SetupContext, SetupField, SetupStage};

pub(super) static CATALOGUE_APP: ProviderGuide = ProviderGuide {
    provider: "Okta",
    is_cloud: true,
    prerequisites: PREREQUISITES,
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Add the app, if it is not there",
            steps: &[
                "Go to Applications > Applications > Browse App Catalog.",
                "Select your application's app. If the catalogue has none: \"SCIM 2.0 Test App (OAuth \
                 Bearer Token)\".",
                "Click Add Integration, and Done.",
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
    is_cloud: true,
    prerequisites: PREREQUISITES,
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Create the app, if it is not there",
            steps: &[
                "Go to Applications > Applications > Create App Integration.",
                "Select SAML 2.0 or SWA; Okta offers no SCIM for OpenID Connect apps. Click Next, and \
                 finish.",
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
    "A certificate of a public authority for the host of public_url, with its chain.",
    "Okta reaches that host and port from the internet. Where a firewall asks: Okta publishes its \
     addresses at https://s3.amazonaws.com/okta-ip-ranges/ip_ranges.json. If ip_allowlist is set, it \
     must list them too.",
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
            "the two Import actions work as well, and read what is here into Okta",
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
        "In Settings > Integration > SCIM Connection, click Edit and fill in the fields of the table.",
    ],
};

const TEST: SetupStage = SetupStage {
    title: "Test the API credentials",
    steps: &[
        "Click Test API Credentials; in an app made by hand it is Test Connector Configuration.",
        "Click Save.",
    ],
};

const PROVISION: SetupStage = SetupStage {
    title: "Enable provisioning to the app",
    steps: &[
        "In Provisioning > Settings > To App > Provisioning to App, click Edit.",
        "Enable Create Users, Update User Attributes and Deactivate Users, and click Save.",
        "Review the Attribute Mapping section below it against the attribute mapping table.",
        "For roles and entitlements: click Go to Profile Editor, then Add Attribute for each, with the \
         external name of the table and the external namespace \
         urn:ietf:params:scim:schemas:core:2.0:User; then Mappings, to say which Okta attribute fills it.",
    ],
};

const GROUPS: SetupStage = SetupStage {
    title: "Push groups, if groups are to give access",
    steps: &[
        "Select the Push Groups tab.",
        "Click Push Groups, and find the groups by name or by rule. Their members come along if they are \
         assigned to the app.",
    ],
};

const ASSIGN: SetupStage = SetupStage {
    title: "Assign users to the app",
    steps: &[
        "Select the Assignments tab.",
        "Click Assign, and select Assign to People or Assign to Groups.",
        "Assign the app to the people that should have access.",
        "Click Done. Within a minute each of them is here: `scimd user list`.",
    ],
};

const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "user.login",
        attribute: "userName",
        meaning: "Application username format, in the Sign On tab. By this name Okta finds the account. Unique \
                  here, in any letter case.",
    },
    AttributeMapping {
        source: "id of the user",
        attribute: "externalId",
        meaning: "Always sent. Kept; accounts can be found by it.",
    },
    AttributeMapping {
        source: "assignment and status",
        attribute: "active",
        meaning: "Always sent. false when the user is unassigned or deactivated: the account stays, without any access.",
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
        meaning: "The name that is shown to others.",
    },
    AttributeMapping { source: "user.title", attribute: "title", meaning: "Job title." },
    AttributeMapping {
        source: "user.department",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        meaning: "Department; `unknown_departments` says whether any text is taken.",
    },
    AttributeMapping {
        source: "user.employeeNumber",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        meaning: "Kept as it is.",
    },
    AttributeMapping {
        source: "user.managerId",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        meaning: "Kept as it is; the manager need not be here.",
    },
    AttributeMapping {
        source: "an attribute of yours",
        attribute: "roles.^[primary==true].value",
        meaning: "A role, by its name or id.",
    },
    AttributeMapping {
        source: "another one",
        attribute: "roles.^[type=='second'].value",
        meaning: "A further role; each needs an attribute and a type of its own.",
    },
    AttributeMapping {
        source: "another one",
        attribute: "entitlements.^[type=='first'].value",
        meaning: "As in workspace:Main:permission:basic_access; one type for each, as for roles.",
    },
];

const GROUP_MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "group name",
        attribute: "displayName",
        meaning: "Unique here. `[[grants]]` with `group` goes by it.",
    },
    AttributeMapping {
        source: "group members",
        attribute: "members",
        meaning: "Those that are assigned to the app. They have what the group's grants give, for as long as they are members.",
    },
];

const STEP: &str = "Click Test API Credentials (or Test Connector Configuration).";
const SUCCESS: &str = "Okta says that the connector was configured, or that the credentials were verified. `scimd token list` \
     shows a last use of the token.";
const FAILURE: &str = "Okta shows an error, and nothing can be saved. With 401 the log of scimd has the reason, in a line with \
     \"refused\". Without such a line the request did not arrive: certificate, name, port, firewall.";
