-- What the console's lists are ordered and searched by.

CREATE INDEX grants_by_authorization ON grants (account, authorized_at, application);
CREATE INDEX official_applications ON applications (name, id) WHERE official;
CREATE INDEX principals_by_login ON principals (account, login_key);
CREATE INDEX memberships_by_group ON memberships (account, group_name);
