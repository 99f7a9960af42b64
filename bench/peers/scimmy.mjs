// SCIMMY behind Express, with users in a Map: the handlers that its manual asks for.
import {randomUUID} from "node:crypto";
import {readFileSync} from "node:fs";
import {createServer} from "node:https";

import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const {CERTIFICATE, KEY, PORT, TOKEN} = process.env;
const users = new Map();
const userNames = new Map();

SCIMMY.Resources.declare(SCIMMY.Resources.User)
    .ingress((resource, data) => {
        const old = users.get(resource.id);
        if (resource.id && !old) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
        const id = resource.id ?? randomUUID();
        const userName = data.userName.toLowerCase();
        if ((userNames.get(userName) ?? id) !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
        const now = new Date();
        const user = {...data, id, meta: {created: old?.meta.created ?? now, lastModified: now}};
        if (old) userNames.delete(old.userName.toLowerCase());
        userNames.set(userName, id);
        users.set(id, user);
        return user;
    })
    .egress((resource) => {
        if (resource.id) {
            const user = users.get(resource.id);
            if (!user) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
            return user;
        }
        const all = [...users.values()];
        return resource.filter ? resource.filter.match(all) : all;
    })
    .degress((resource) => {
        userNames.delete(users.get(resource.id)?.userName.toLowerCase());
        if (!users.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
    });

const app = express();
app.use("/scim/v2", new SCIMMYRouters({
    type: "bearer",
    baseUri: (request) => `https://${request.header("Host")}`,
    handler: (request) => {
        if (request.header("Authorization") !== `Bearer ${TOKEN}`) throw new Error("Unknown token");
        return "client";
    },
}));
const options = {cert: readFileSync(CERTIFICATE), key: readFileSync(KEY), keepAliveTimeout: 60_000};
createServer(options, app).listen(PORT, "127.0.0.1");
