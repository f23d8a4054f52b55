-- Roles of the catalogue, each with no more rights than its work needs. For psql, as a superuser (or, on a managed
-- server, its admin) in the catalogue's database. It may be repeated: run it once before the first `archiver db upgrade`
-- and again after each one. It sets no passwords: give them afterwards with \password archiver_app and so on.
--
--   archiver_owner     owns the tables; for `archiver db upgrade` and nothing else
--   archiver_app       the daemon and the commands of its operator
--   archiver_approver  approves plans and releases cases, and can neither archive nor delete
--   archiver_auditor   looks, and changes nothing
--
-- What is written once (history, ledger, gap_events, controls, policy_sets) is guarded twice: archiver_app has no right
-- to change or remove it, and a trigger refuses it to everybody, the owner included.

\set ON_ERROR_STOP on
begin;

select format('create role %I login', wanted)
from unnest(array['archiver_owner', 'archiver_app', 'archiver_approver', 'archiver_auditor']) as wanted
where not exists (select from pg_roles where rolname = wanted) \gexec

select format('revoke all on database %I from public', current_database()) \gexec
select format('grant connect on database %I to archiver_owner, archiver_app, archiver_approver, archiver_auditor',
    current_database()) \gexec
revoke all on schema public from public;
grant usage, create on schema public to archiver_owner;
grant usage on schema public to archiver_app, archiver_approver, archiver_auditor;

-- who runs this must be able to hand tables over; a superuser can anyway
select format('grant archiver_owner to %I', current_user)
where not pg_has_role(current_user, 'archiver_owner', 'member') \gexec

-- tables that another role has made: an installation that began with one role
select format('alter table public.%I owner to archiver_owner', relname)
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    and relowner <> 'archiver_owner'::regrole \gexec
select format('alter type public.%I owner to archiver_owner', typname)
from pg_type where typnamespace = 'public'::regnamespace and typtype = 'e'
    and typowner <> 'archiver_owner'::regrole \gexec
select format('alter function public.%I() owner to archiver_owner', proname)
from pg_proc where pronamespace = 'public'::regnamespace and pronargs = 0
    and proowner <> 'archiver_owner'::regrole \gexec

-- tables of migrations to come; this script narrows the rights on them when it is run again
alter default privileges for role archiver_owner in schema public grant select, insert, update on tables to archiver_app;
alter default privileges for role archiver_owner in schema public grant select on tables to archiver_auditor;

-- from nothing, so that a right that was given by hand does not stay
revoke all on all tables in schema public from public, archiver_app, archiver_approver, archiver_auditor;

select format('grant select on public.%I to archiver_app, archiver_approver, archiver_auditor', relname)
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'refresh_tokens' \gexec

-- the daemon: working tables are written and changed; what a trigger keeps append-only is only added to
select format('grant insert%s on public.%I to archiver_app',
    case when exists (select from pg_trigger where tgrelid = pg_class.oid and tgname like '%\_append\_only')
        then '' else ', update' end, relname)
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alembic_version' \gexec
select 'grant select on public.refresh_tokens to archiver_app'
where to_regclass('public.refresh_tokens') is not null \gexec
-- requests of the last minute: the only rows that are ever removed
select 'grant delete on public.quota_used to archiver_app'
where to_regclass('public.quota_used') is not null \gexec

select 'grant insert on public.controls to archiver_approver'
where to_regclass('public.controls') is not null \gexec

commit;
