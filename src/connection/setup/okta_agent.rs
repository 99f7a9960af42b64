//! Okta through its Provisioning Agent, which runs in this network and opens outbound connections alone.

use super::guide::{ProviderGuide, ProviderPlace, SetupContext, SetupField, SetupStage};
use super::okta::{ASSIGN, GROUP_MAPPING, GROUPS, MAPPING, PROVISION};

pub(super) static AGENT: ProviderGuide = ProviderGuide {
    provider: "Okta's Provisioning Agent",
    place: ProviderPlace::Agent,
    oauth: None,
    sends_basic: true,
    prerequisites: &[
        "An Okta administrator, and an Okta plan with on-premises provisioning. Okta supports the agent where Okta \
         or a partner sets it up.",
        "A Windows or Linux server for the Okta Provisioning Agent, version 2.1.0 or later: earlier ones speak SCIM 1.1 \
         alone. It must reach scimd and your Okta org; no port is opened to it.",
        "A private name for scimd that this server resolves, as public_url, and a certificate for that name from a CA \
         that the agent trusts.",
        "If ip_allowlist is set, it must contain the address of this server.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Install the agent",
            steps: &[
                "In the Admin Console go to Settings > Downloads, and download the Okta Provisioning Agent.",
                "Install it on the server, and sign in to your org when the installer asks.",
            ],
        },
        SetupStage {
            title: "Let the agent trust the certificate",
            steps: &[
                "Import the certificate of your CA, or scimd's tls/cert.pem, into the trust store of the agent's Java \
                 (keytool -importcert), and restart the agent.",
            ],
        },
        SetupStage {
            title: "Configure the connector",
            steps: &[
                "In the app select the Provisioning tab, and click Configure SCIM Connector.",
                "Enter the values of the table. The base URL must contain /v2 and end with a slash, otherwise the agent \
                 speaks SCIM 1.1.",
                "Select the agent, click Test Connector Configuration, and Save.",
            ],
        },
        PROVISION,
        GROUPS,
        ASSIGN,
    ],
    step: "Click Test Connector Configuration. The agent reads /ServiceProviderConfig.",
    success: "Okta says that the connector was configured. `scimd token list` shows a last use of the token.",
    failure: "`scimd requests --failed` shows the reason. If it lists no request, none arrived: check on the agent's \
        server that the name resolves and that the certificate is trusted.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(
            "SCIM connector base URL",
            format!("{}/", place.endpoint),
            "with the slash at its end, the private name, and the port if it is not 443",
        ),
        SetupField::new(
            "Authorization type",
            "HTTP Header",
            "or Basic Auth, with basic = true in the connection",
        ),
        SetupField::new("HTTP Header Name", "Authorization", ""),
        SetupField::new("HTTP Header Value", "Bearer, a space, the token", place.token_note()),
        SetupField::new("Unique user field name", "userName", ""),
    ]
}
