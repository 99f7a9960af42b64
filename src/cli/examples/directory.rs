//! The examples of the commands about users, groups and access.

/// The examples of each command, by the words that name it after `scimd`.
pub(super) const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    ("user", &[("Show what a user may do, and why", "scimd user show ada@example.com --access")]),
    (
        "user list",
        &[
            (
                "List the users of one connection that are not active",
                "scimd user list --connection okta --inactive",
            ),
            (
                "List users whose userName begins with a",
                "scimd user list --filter 'userName sw \"a\"' --limit 20",
            ),
            (
                "List the members of a group as CSV",
                "scimd user list --group Engineers --output csv",
            ),
        ],
    ),
    (
        "user show",
        &[
            ("Show a user by userName", "scimd user show ada@example.com"),
            (
                "Show a user by the id that the identity provider has for it",
                "scimd user show 00u1abcd2EFGHIJ345",
            ),
            (
                "Show its effective access and what grants each part",
                "scimd user show ada@example.com --access",
            ),
            ("Show who changed what of it", "scimd user show ada@example.com --history"),
        ],
    ),
    (
        "user deactivate",
        &[(
            "Cut a user off at once",
            "scimd user deactivate ada@example.com --reason 'laptop stolen'",
        )],
    ),
    (
        "user activate",
        &[("End the deactivation", "scimd user activate ada@example.com --reason 'laptop found'")],
    ),
    (
        "user transfer",
        &[(
            "Have another connection manage a user",
            "scimd user transfer ada@example.com --to okta",
        )],
    ),
    (
        "access",
        &[(
            "Show what a user may do, and every path that gives it",
            "scimd access why ada@example.com",
        )],
    ),
    (
        "access why",
        &[
            ("Show every path to what a user may do", "scimd access why ada@example.com"),
            (
                "Show why a user has one permission",
                "scimd access why ada@example.com --permission edit_reports",
            ),
        ],
    ),
    (
        "access who",
        &[
            ("List the users who have a permission anywhere", "scimd access who edit_reports"),
            (
                "List the users who have a role, as CSV",
                "scimd access who role:Developer --output csv",
            ),
            (
                "List the users who have a permission in one workspace",
                "scimd access who workspace:Main:permission:edit_reports",
            ),
        ],
    ),
    (
        "access what-if",
        &[
            (
                "Show what membership in a group would change",
                "scimd access what-if ada@example.com --group Engineers",
            ),
            (
                "Show what a user would lose without one group and keep through others",
                "scimd access what-if ada@example.com --without-group Engineers",
            ),
            (
                "Show what a role would add",
                "scimd access what-if ada@example.com --grant role:Developer",
            ),
        ],
    ),
    ("group", &[("Show a group and its members", "scimd group show Engineers")]),
    ("group list", &[("List the groups of one connection", "scimd group list --connection okta")]),
    (
        "group show",
        &[
            ("Show a group and its members", "scimd group show Engineers"),
            ("Show who changed what of it", "scimd group show Engineers --history"),
        ],
    ),
    (
        "group add-member",
        &[(
            "Add a user to a group",
            "scimd group add-member Engineers ada@example.com --reason 'on call'",
        )],
    ),
    (
        "group remove-member",
        &[("Remove a user from a group", "scimd group remove-member Engineers ada@example.com")],
    ),
];
