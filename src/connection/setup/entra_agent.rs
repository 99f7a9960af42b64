//! Microsoft Entra ID through its provisioning agent, which runs in this network and opens outbound connections alone.

use super::entra::{GROUP_MAPPING, MAPPING};
use super::guide::{ProviderGuide, ProviderPlace, SetupContext, SetupField, SetupStage};

pub(super) static AGENT: ProviderGuide = ProviderGuide {
    provider: "Entra's provisioning agent",
    place: ProviderPlace::Agent,
    oauth: None,
    sends_basic: false,
    prerequisites: &[
        "An Entra administrator with the role Hybrid Identity Administrator, and a plan with Microsoft Entra ID P1.",
        "Windows Server 2016 or later with 3 GB of memory for the agent. It must reach scimd, login.microsoftonline.com \
         and other Microsoft Online Services; no port is opened to it.",
        "A private name for scimd that this server resolves, as public_url, and a certificate for that name from a CA \
         that this server trusts. A self-signed one works as well, once tls/cert.pem is imported.",
        "If ip_allowlist is set, it must contain the address of this server.",
    ],
    fields,
    mapping: MAPPING,
    group_mapping: GROUP_MAPPING,
    steps: &[
        SetupStage {
            title: "Add the application",
            steps: &[
                "In the Microsoft Entra admin center (https://entra.microsoft.com), go to Entra ID > Enterprise apps > \
                 New application.",
                "Search for \"On-premises SCIM app\", select it, give it a name, and click Create.",
                "Go to Provisioning, click Get started, and set the mode to Automatic.",
            ],
        },
        SetupStage {
            title: "Install the agent",
            steps: &[
                "Under On-premises Connectivity, select Download and install, then Accept terms & download.",
                "Run the installer on the Windows server. In Select Extension choose On-premises application \
                 provisioning, and sign in as the administrator.",
            ],
        },
        SetupStage {
            title: "Let the agent trust the certificate",
            steps: &[
                "On the Windows server, import the certificate of your CA, or scimd's tls/cert.pem, into Trusted Root \
                 Certification Authorities of the local computer.",
                "Open the Tenant URL with /Users at its end in a browser there: an answer with status 401 and no \
                 warning of the certificate is right.",
            ],
        },
        SetupStage {
            title: "Assign the agent",
            steps: &[
                "Under On-premises Connectivity select the agent, and click Assign Agent(s).",
                "Restart the agent's service (Microsoft Entra Connect Provisioning Agent), or wait 10 minutes.",
            ],
        },
        SetupStage {
            title: "Set up the SCIM integration",
            steps: &[
                "Under Admin Credentials enter the values of the table.",
                "Click Test Connection, then Save.",
                "Go on as without an agent: attribute mapping, assignment of users, start.",
            ],
        },
    ],
    step: "Click Test Connection. The agent looks for a user that does not exist, and expects an empty list.",
    success: "Entra says that the supplied credentials are authorized to enable provisioning. `scimd token \
              list` shows a last use of the token.",
    failure: "`scimd requests --failed` shows the reason. If it lists no request, none arrived: check on the Windows \
        server that the name resolves and that the certificate is trusted, and restart the agent's service.",
};

fn fields(place: &SetupContext<'_>) -> Vec<SetupField> {
    vec![
        SetupField::new(
            "Tenant URL",
            place.endpoint,
            "with the private name, and the port if it is not 443",
        ),
        SetupField::new(
            "Secret Token",
            "the token",
            format!(
                "{}; replace it before it expires: `scimd token reset --connection {} --overlap 24h`",
                place.token_note(),
                place.name
            ),
        ),
    ]
}
