//! Microsoft Entra ID: an application that is not in the gallery.

use super::guide::{
    AttributeMapping, OauthWords, ProviderGuide, ProviderPlace, SetupContext, SetupField,
    SetupStage,
};

pub(super) static GUIDE: ProviderGuide = ProviderGuide {
    provider: "Microsoft Entra ID",
    place: ProviderPlace::Cloud,
    oauth: Some(OauthWords {
        endpoint: "Tenant URL",
        token_endpoint: "Token endpoint",
        client_id: "Client identifier",
        client_secret: "Client secret",
        audience: None,
        federation: [
            "https://login.microsoftonline.com/TENANT-ID/v2.0, with the Tenant ID of Overview",
            "Object ID of Microsoft's provisioning service: Enterprise apps, filter Microsoft Applications",
            "Application (client) ID: App registrations; with and without api:// before it",
        ],
    }),
    sends_basic: false,
    prerequisites: &[
        "An Entra administrator with the role Application Administrator or Cloud Application \
         Administrator.",
        "A certificate from a public CA for the host of public_url, with its chain.",
        "Entra can reach that host and port from the internet; its addresses are those of the service tag \
         AzureActiveDirectory in Microsoft's list of IP ranges and service tags, which ip_allowlist must contain if \
         it is set. Without an open port: Entra's provisioning agent (docs/behind-a-firewall.md).",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: STEPS,
    step: "Click Test Connection. Entra looks for a user that does not exist, and expects an empty list.",
    success: "Entra says that the supplied credentials are authorized to enable provisioning. `scimd token \
              list` shows a last use of the token.",
    failure: "Entra says that the credentials are invalid, or that it could not connect. `scimd requests --failed` \
        shows the reason. If it lists no request, none arrived: check certificate, name, port and firewall.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(
            "Tenant URL",
            place.endpoint,
            "You can append ?aadOptscim062020; both variants work",
        ),
        SetupField::new(
            "Secret Token",
            "the token",
            format!(
                "{}; Entra stops provisioning when it expires, so replace it before: `scimd token reset --connection \
                 {} --overlap 24h`",
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
            "Select Connect your application or New configuration, and enter the values of the table.",
            "Click Test Connection, then Create or Save.",
        ],
    },
    SetupStage {
        title: "Enable provisioning to the app",
        steps: &[
            "Go to Manage > Attribute mapping (Preview); in older portals Provisioning > Mappings.",
            "Select Provision Microsoft Entra ID Users.",
            "Compare the attribute mapping with the table. \"Default\" marks what Entra has already.",
            "For roles: select Show advanced options > Edit attribute list for customappsso, and add \
             \"roles\" with type String and Multi-Value. If the link is missing, open the portal with \
             ?Microsoft_AAD_Connect_Provisioning_forceSchemaEditorEnabled=true. Then Add New Mapping with \
             mapping type Expression.",
            "Save, and close the Attribute Mapping page. Leave Provision Microsoft Entra ID Groups as it is, or \
             disable it if you provision no groups.",
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
            "Try one user with Provision on demand; `scimd user list` shows it at once.",
            "In Provisioning > Overview, click Start provisioning. From then on Entra syncs about every 40 minutes.",
        ],
    },
];

pub(super) const MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "userPrincipalName",
        attribute: "userName",
        meaning: "Default, with matching precedence 1: Entra finds the account by this name. Unique in scimd, in any \
            letter case.",
    },
    AttributeMapping {
        source: "Switch([IsSoftDeleted], , \"False\", \"True\", \"True\", \"False\")",
        attribute: "active",
        meaning: "Default. False if the user is unassigned, blocked or deleted: the account stays, without access.",
    },
    AttributeMapping {
        source: "objectId",
        attribute: "externalId",
        meaning: "Change the default, mailNickname, which may be given to another user later.",
    },
    AttributeMapping {
        source: "displayName",
        attribute: "displayName",
        meaning: "Default. The name shown to others.",
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
        meaning: "Default, as those for addresses and telephone numbers. scimd stores them; delete the ones that the \
            application does not need.",
    },
    AttributeMapping {
        source: "department",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        meaning: "Default. Department; `unknown_departments` decides whether any text is accepted.",
    },
    AttributeMapping {
        source: "employeeId",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        meaning: "Default. Stored unchanged.",
    },
    AttributeMapping {
        source: "manager",
        attribute: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
        meaning: "Default. Entra sends the manager's id in scimd, and omits a manager who is not assigned.",
    },
    AttributeMapping {
        source: "AssertiveAppRoleAssignmentsComplex([appRoleAssignments])",
        attribute: "roles",
        meaning: "Add this mapping if users have several roles. The value of each app role is the name or id of a \
            role in scimd. A role that is removed in Entra is removed in scimd; without \"Assertive\" it stays.",
    },
    AttributeMapping {
        source: "SingleAppRoleAssignment([appRoleAssignments])",
        attribute: "roles[primary eq \"True\"].value",
        meaning: "Or this, if each user has one role.",
    },
    AttributeMapping {
        source: "nothing",
        attribute: "entitlements",
        meaning: "Entra does not send entitlements. Use roles, or `[[grants]]` for groups.",
    },
];

pub(super) const GROUP_MAPPING: &[AttributeMapping] = &[
    AttributeMapping {
        source: "displayName",
        attribute: "displayName",
        meaning: "Default, with matching precedence 1. Unique in scimd. `[[grants]]` with `group` matches it.",
    },
    AttributeMapping {
        source: "objectId",
        attribute: "externalId",
        meaning: "Default. `[[grants]]` with `external_id` matches it, also after the group is renamed.",
    },
    AttributeMapping {
        source: "members",
        attribute: "members",
        meaning: "Default. Members have the access that the group's grants give.",
    },
];
