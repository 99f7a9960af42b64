//! Microsoft Entra ID: an application that is not in the gallery.

use super::guide::{AttributeMapping, ProviderGuide, SetupContext, SetupField, SetupStage};

pub(super) static GUIDE: ProviderGuide = ProviderGuide {
    provider: "Microsoft Entra ID",
    is_cloud: true,
    prerequisites: &[
        "An Entra administrator with the role Application Administrator or Cloud Application \
         Administrator.",
        "A certificate of a public authority for the host of public_url, with its chain.",
        "Entra reaches that host and port from the internet. Where a firewall asks: its addresses are \
         those of the service tag AzureActiveDirectory, in Microsoft's list of IP ranges and service \
         tags. If ip_allowlist is set, it must list them too.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: STEPS,
    step: "Click Test Connection. Entra looks for a user that does not exist, and expects an empty list.",
    success: "Entra says that the supplied credentials are authorized to enable provisioning. `scimd token \
              list` shows a last use of the token.",
    failure: "Entra says that the credentials are invalid, or that it could not connect. With 401 the log of \
              scimd has the reason, in a line with \"refused\". Without such a line the request did not \
              arrive: certificate, name, port, firewall.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(
            "Tenant URL",
            place.endpoint,
            "?aadOptscim062020 at its end is fine, and so is leaving it away: both dialects are spoken",
        ),
        SetupField::new(
            "Secret Token",
            "the token",
            format!(
                "{}; Entra stops provisioning when it ends, so change it before: `scimd token reset \
                 --connection {} --overlap 24h`",
                place.token_note(),
                place.name
            ),
        ),
    ]
}

const STEPS: &[SetupStage] = &[
    SetupStage {
        title: "Log in to the Microsoft Entra admin center",
        steps: &["https://entra.microsoft.com"],
    },
    SetupStage {
        title: "Create the SCIM app",
        steps: &[
            "In the left menu, go to Entra ID > Enterprise apps.",
            "Select New application.",
            "Select Create your own application.",
            "In the right panel, input a name for your app.",
            "Under \"What are you looking to do with your application?\" select \"Integrate any other \
             application you don't find in the gallery (Non-gallery)\".",
            "Click Create.",
        ],
    },
    SetupStage {
        title: "Set up the SCIM integration",
        steps: &[
            "Go to Manage > Provisioning of the app.",
            "Select Connect your application or New configuration, and fill in the fields of the table.",
            "Click Test Connection, then Create or Save.",
        ],
    },
    SetupStage {
        title: "Enable provisioning to the app",
        steps: &[
            "Go to Manage > Attribute mapping (Preview); in older portals Provisioning > Mappings.",
            "Select Provision Microsoft Entra ID Users.",
            "Review the attribute mapping against the table. \"Default\" is what Entra has there already.",
            "For roles: select Show advanced options > Edit attribute list for customappsso, and add \
             \"roles\" with type String and Multi-Value. If the link is missing, open the portal with \
             ?Microsoft_AAD_Connect_Provisioning_forceSchemaEditorEnabled=true. Then Add New Mapping with \
             mapping type Expression.",
            "Save, and close the Attribute Mapping page. Provision Microsoft Entra ID Groups is fine as it \
             is; disable it if no groups are to come.",
        ],
    },
    SetupStage {
        title: "Assign users to the app",
        steps: &[
            "Go to Manage > Users and groups.",
            "Click Add user/group.",
            "Click None Selected, and select the users and groups; with app roles, select one for each.",
            "Click Select, and Assign, to confirm the assignment.",
        ],
    },
    SetupStage {
        title: "Start",
        steps: &[
            "In Provisioning > Settings, leave Scope at \"Sync only assigned users and groups\": with \"Sync \
             all\" the expressions for roles do not work.",
            "Try one user with Provision on demand; it is here at once: `scimd user list`.",
            "In Provisioning > Overview, click Start provisioning. From then on Entra comes about every 40 \
             minutes.",
        ],
    },
];

const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "userPrincipalName",
        attribute: "userName",
        meaning: "Default, with matching precedence 1: by this name Entra finds the account. Unique here, in \
                  any letter case.",
    },
    AttributeMapping {
        source: "Switch([IsSoftDeleted], , \"False\", \"True\", \"True\", \"False\")",
        attribute: "active",
        meaning: "Default. False when the user is unassigned, blocked or deleted: the account stays, without \
                  any access.",
    },
    AttributeMapping {
        source: "objectId",
        attribute: "externalId",
        meaning: "Change it: the default, mailNickname, may be given to another user later.",
    },
    AttributeMapping {
        source: "displayName",
        attribute: "displayName",
        meaning: "Default. The name that is shown to others.",
    },
    AttributeMapping { source: "givenName", attribute: "name.givenName", meaning: "Default." },
    AttributeMapping { source: "surname", attribute: "name.familyName", meaning: "Default." },
    AttributeMapping {
        source: "Join(\" \", [givenName], [surname])",
        attribute: "name.formatted",
        meaning: "Default.",
    },
    AttributeMapping {
        source: "mail",
        attribute: "emails[type eq \"work\"].value",
        meaning: "Default. E-mail address.",
    },
    AttributeMapping { source: "jobTitle", attribute: "title", meaning: "Default." },
    AttributeMapping {
        source: "preferredLanguage",
        attribute: "preferredLanguage",
        meaning: "Default, like those for addresses and telephone numbers: kept. Delete what the application \
                  has no use for.",
    },
    AttributeMapping {
        source: "department",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        meaning: "Default. Department; `unknown_departments` says whether any text is taken.",
    },
    AttributeMapping {
        source: "employeeId",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        meaning: "Default. Kept as it is.",
    },
    AttributeMapping {
        source: "manager",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
        meaning: "Default. Entra sends the manager's id here, so a manager who is not assigned is left out.",
    },
    AttributeMapping {
        source: "AssertiveAppRoleAssignmentsComplex([appRoleAssignments])",
        attribute: "roles",
        meaning: "Add it, for several roles a user. The value of each app role is the name or id of a role \
                  here. A role that is taken away in Entra goes here too; without \"Assertive\" it stays.",
    },
    AttributeMapping {
        source: "SingleAppRoleAssignment([appRoleAssignments])",
        attribute: "roles[primary eq \"True\"].value",
        meaning: "Or this, for one role a user.",
    },
    AttributeMapping {
        source: "nothing",
        attribute: "entitlements",
        meaning: "Entra does not send them. Use roles, or `[[grants]]` to groups.",
    },
];

const GROUP_MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "displayName",
        attribute: "displayName",
        meaning: "Default, with matching precedence 1. Unique here. `[[grants]]` with `group` goes by it.",
    },
    AttributeMapping {
        source: "objectId",
        attribute: "externalId",
        meaning: "Default. `[[grants]]` with `external_id` goes by it, and holds when the group is renamed.",
    },
    AttributeMapping {
        source: "members",
        attribute: "members",
        meaning: "Default. They have what the group's grants give, for as long as they are members.",
    },
];
