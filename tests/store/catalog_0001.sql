BEGIN TRANSACTION;
CREATE TABLE activities (
	owner_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36), 
	kind VARCHAR(32) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	object_kind VARCHAR(16), 
	object_id VARCHAR(64), 
	data JSON NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_activities PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE alerts (
	owner_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	severity VARCHAR(8) NOT NULL, 
	object_kind VARCHAR(16), 
	object_id VARCHAR(64), 
	data JSON NOT NULL, 
	acknowledged_at DATETIME, 
	resolved_at DATETIME, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_alerts PRIMARY KEY (id)
);
CREATE TABLE aliases (
	owner_id VARCHAR(36) NOT NULL, 
	family VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	model_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (id), 
	CONSTRAINT fk_aliases_model_id FOREIGN KEY(model_id) REFERENCES models (id), 
	CONSTRAINT fk_aliases_owner_id FOREIGN KEY(owner_id) REFERENCES users (id), 
	CONSTRAINT uq_aliases_owner_id_family_name UNIQUE (owner_id, family, name)
);
CREATE TABLE api_keys (
	user_id VARCHAR(36) NOT NULL, 
	name TEXT NOT NULL, 
	prefix VARCHAR(16) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	role VARCHAR(16), 
	expires_at DATETIME, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash)
);
CREATE TABLE connections (
	name TEXT NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	secret TEXT NOT NULL, 
	shown TEXT NOT NULL, 
	table_name TEXT NOT NULL, 
	columns JSON NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	checked_at DATETIME, 
	error TEXT, 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_connections PRIMARY KEY (id), 
	CONSTRAINT fk_connections_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE counters (
	"key" VARCHAR(200) NOT NULL, 
	window_start DATETIME NOT NULL, 
	count INTEGER NOT NULL, 
	CONSTRAINT pk_counters PRIMARY KEY ("key")
);
CREATE TABLE dataset_versions (
	dataset_id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	folder TEXT NOT NULL, 
	rows BIGINT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	recipe JSON NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_dataset_versions PRIMARY KEY (id), 
	CONSTRAINT fk_dataset_versions_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE, 
	CONSTRAINT uq_dataset_versions_dataset_id_number UNIQUE (dataset_id, number)
);
CREATE TABLE datasets (
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	rows BIGINT NOT NULL, 
	head JSON NOT NULL, 
	config JSON NOT NULL, 
	split JSON NOT NULL, 
	number INTEGER NOT NULL, 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_datasets PRIMARY KEY (id), 
	CONSTRAINT fk_datasets_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	type VARCHAR(32) NOT NULL, 
	owner_id VARCHAR(36), 
	data JSON NOT NULL
);
CREATE TABLE forecast_points (
	id INTEGER NOT NULL, 
	forecast_id VARCHAR(36) NOT NULL, 
	owner_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(200) NOT NULL, 
	unique_id TEXT NOT NULL, 
	origin_at DATETIME, 
	target_at DATETIME, 
	target_step BIGINT, 
	horizon INTEGER NOT NULL, 
	forecast FLOAT NOT NULL, 
	quantiles JSON NOT NULL, 
	actual FLOAT, 
	scored_at DATETIME, 
	CONSTRAINT pk_forecast_points PRIMARY KEY (id), 
	CONSTRAINT fk_forecast_points_forecast_id FOREIGN KEY(forecast_id) REFERENCES forecasts (id) ON DELETE CASCADE
);
CREATE TABLE forecasts (
	kind VARCHAR(16) NOT NULL, 
	model_id VARCHAR(36), 
	tag VARCHAR(200) NOT NULL, 
	run_id VARCHAR(64), 
	data_version VARCHAR(80), 
	job_id VARCHAR(64), 
	request_id VARCHAR(64), 
	freq VARCHAR(32) NOT NULL, 
	timezone VARCHAR(64), 
	horizon INTEGER NOT NULL, 
	n_series INTEGER NOT NULL, 
	errors JSON, 
	seconds FLOAT, 
	owner_id VARCHAR(36) NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_forecasts PRIMARY KEY (id), 
	CONSTRAINT fk_forecasts_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE idempotency (
	user_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	request_hash VARCHAR(64) NOT NULL, 
	status INTEGER, 
	body JSON, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency PRIMARY KEY (user_id, "key")
);
CREATE TABLE job_logs (
	id INTEGER NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	level VARCHAR(8) NOT NULL, 
	at DATETIME NOT NULL, 
	text TEXT NOT NULL, 
	"key" VARCHAR(100), 
	data JSON NOT NULL, 
	CONSTRAINT pk_job_logs PRIMARY KEY (id), 
	CONSTRAINT fk_job_logs_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	model_id VARCHAR(36), 
	dataset_id VARCHAR(36), 
	params JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempt INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	lease_owner VARCHAR(100), 
	heartbeat_at DATETIME, 
	progress FLOAT NOT NULL, 
	eta_seconds FLOAT, 
	stage VARCHAR(32) NOT NULL, 
	best JSON, 
	epochs JSON, 
	cancel_requested BOOLEAN NOT NULL, 
	host TEXT, 
	pid INTEGER, 
	process_group INTEGER, 
	artifact TEXT, 
	checksum VARCHAR(64), 
	result JSON, 
	error JSON, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	ended_at DATETIME, 
	owner_id VARCHAR(36) NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE models (
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	algorithm VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	dataset_id VARCHAR(36), 
	dataset_number INTEGER, 
	pipeline_id VARCHAR(36), 
	family VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	options JSON NOT NULL, 
	tag VARCHAR(200), 
	checksum VARCHAR(64), 
	run_id VARCHAR(64), 
	metrics JSON NOT NULL, 
	facts JSON NOT NULL, 
	saved BOOLEAN NOT NULL, 
	trained_at DATETIME, 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_models PRIMARY KEY (id), 
	CONSTRAINT fk_models_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE SET NULL, 
	CONSTRAINT fk_models_owner_id FOREIGN KEY(owner_id) REFERENCES users (id), 
	CONSTRAINT fk_models_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipelines (id) ON DELETE SET NULL
);
CREATE TABLE monitors (
	pipeline_id VARCHAR(36), 
	model_id VARCHAR(36) NOT NULL, 
	connection_id VARCHAR(36) NOT NULL, 
	interval_seconds FLOAT NOT NULL, 
	follow BOOLEAN NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	position JSON NOT NULL, 
	lease_owner VARCHAR(100), 
	due_at DATETIME, 
	last_run_at DATETIME, 
	predictions INTEGER NOT NULL, 
	error JSON, 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_monitors PRIMARY KEY (id), 
	CONSTRAINT fk_monitors_connection_id FOREIGN KEY(connection_id) REFERENCES connections (id) ON DELETE CASCADE, 
	CONSTRAINT fk_monitors_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE pipelines (
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	dataset_id VARCHAR(36), 
	step VARCHAR(16) NOT NULL, 
	completed JSON NOT NULL, 
	config JSON NOT NULL, 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_pipelines PRIMARY KEY (id), 
	CONSTRAINT fk_pipelines_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE SET NULL, 
	CONSTRAINT fk_pipelines_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE promotions (
	alias_id VARCHAR(36) NOT NULL, 
	model_id VARCHAR(36) NOT NULL, 
	previous_id VARCHAR(36), 
	user_id VARCHAR(36) NOT NULL, 
	reason TEXT NOT NULL, 
	"rollback" BOOLEAN NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_promotions PRIMARY KEY (id), 
	CONSTRAINT fk_promotions_alias_id FOREIGN KEY(alias_id) REFERENCES aliases (id) ON DELETE CASCADE
);
CREATE TABLE runs (
	run_id VARCHAR(64) NOT NULL, 
	model_id VARCHAR(36), 
	job_id VARCHAR(64), 
	status VARCHAR(16) NOT NULL, 
	folder TEXT NOT NULL, 
	checksum VARCHAR(64), 
	record JSON NOT NULL, 
	owner_id VARCHAR(36) NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE SET NULL, 
	CONSTRAINT fk_runs_owner_id FOREIGN KEY(owner_id) REFERENCES users (id), 
	CONSTRAINT uq_runs_job_id UNIQUE (job_id)
);
CREATE TABLE schedules (
	model_id VARCHAR(36) NOT NULL, 
	cron VARCHAR(100) NOT NULL, 
	timezone VARCHAR(64) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	promote BOOLEAN NOT NULL, 
	next_at DATETIME, 
	last_job_id VARCHAR(64), 
	owner_id VARCHAR(36) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_schedules PRIMARY KEY (id), 
	CONSTRAINT fk_schedules_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE, 
	CONSTRAINT fk_schedules_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE sessions (
	user_id VARCHAR(36) NOT NULL, 
	refresh_hash VARCHAR(64) NOT NULL, 
	previous_hash VARCHAR(64), 
	agent TEXT NOT NULL, 
	refreshed_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT uq_sessions_refresh_hash UNIQUE (refresh_hash)
);
CREATE TABLE shares (
	kind VARCHAR(16) NOT NULL, 
	object_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(36) NOT NULL, 
	"right" VARCHAR(8) NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_shares PRIMARY KEY (id), 
	CONSTRAINT fk_shares_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT uq_shares_kind_object_id_user_id UNIQUE (kind, object_id, user_id)
);
CREATE TABLE uploads (
	filename TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	size_bytes BIGINT, 
	received BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	options JSON NOT NULL, 
	language VARCHAR(8) NOT NULL, 
	progress FLOAT NOT NULL, 
	dataset_id VARCHAR(36), 
	error JSON, 
	updated_at DATETIME NOT NULL, 
	owner_id VARCHAR(36) NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_uploads PRIMARY KEY (id), 
	CONSTRAINT fk_uploads_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE TABLE users (
	email VARCHAR(254) NOT NULL, 
	username VARCHAR(64) NOT NULL, 
	full_name TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	active BOOLEAN NOT NULL, 
	language VARCHAR(8) NOT NULL, 
	quota_bytes BIGINT, 
	epoch INTEGER NOT NULL, 
	last_login_at DATETIME, 
	updated_at DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT uq_users_email UNIQUE (email), 
	CONSTRAINT uq_users_username UNIQUE (username)
);
INSERT INTO "users" VALUES('ana@example.com','ana@example.com','','$argon2id$v=19$m=65536,t=3,p=4$vjEDb3eBwCRVlyyQC2tk9A$QWEBQul0mSlnBFDfssrtZNoIxMzdePz7hzP3mkE/f0c','admin',1,'en',NULL,0,NULL,'2026-11-30 02:37:45.185784',1,'3777e5e4-7192-4bcc-b1f4-ee78ca81c303','2026-11-30 02:37:45.185812');
CREATE INDEX ix_activities_created_at ON activities (created_at);
CREATE INDEX ix_activities_kind ON activities (kind);
CREATE INDEX ix_activities_owner_id ON activities (owner_id);
CREATE INDEX ix_alerts_created_at ON alerts (created_at);
CREATE INDEX ix_alerts_owner_id ON alerts (owner_id);
CREATE INDEX ix_events_at ON events (at);
CREATE INDEX ix_idempotency_created_at ON idempotency (created_at);
CREATE INDEX ix_users_created_at ON users (created_at);
CREATE INDEX ix_api_keys_created_at ON api_keys (created_at);
CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);
CREATE INDEX ix_connections_created_at ON connections (created_at);
CREATE INDEX ix_connections_owner_id ON connections (owner_id);
CREATE INDEX ix_datasets_created_at ON datasets (created_at);
CREATE INDEX ix_datasets_fingerprint ON datasets (fingerprint);
CREATE INDEX ix_datasets_owner_id ON datasets (owner_id);
CREATE INDEX ix_forecasts_created_at ON forecasts (created_at);
CREATE INDEX ix_forecasts_job_id ON forecasts (job_id);
CREATE INDEX ix_forecasts_kind ON forecasts (kind);
CREATE INDEX ix_forecasts_model_id ON forecasts (model_id);
CREATE INDEX ix_forecasts_owner_id ON forecasts (owner_id);
CREATE INDEX ix_forecasts_tag ON forecasts (tag);
CREATE INDEX ix_jobs_created_at ON jobs (created_at);
CREATE INDEX ix_jobs_dataset_id ON jobs (dataset_id);
CREATE INDEX ix_jobs_kind ON jobs (kind);
CREATE INDEX ix_jobs_model_id ON jobs (model_id);
CREATE INDEX ix_jobs_owner_id ON jobs (owner_id);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_sessions_created_at ON sessions (created_at);
CREATE INDEX ix_sessions_previous_hash ON sessions (previous_hash);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_shares_created_at ON shares (created_at);
CREATE INDEX ix_shares_object_id ON shares (object_id);
CREATE INDEX ix_shares_user_id ON shares (user_id);
CREATE INDEX ix_uploads_created_at ON uploads (created_at);
CREATE INDEX ix_uploads_owner_id ON uploads (owner_id);
CREATE INDEX ix_uploads_state ON uploads (state);
CREATE INDEX ix_dataset_versions_created_at ON dataset_versions (created_at);
CREATE INDEX ix_forecast_points_forecast_id ON forecast_points (forecast_id);
CREATE INDEX ix_points_due ON forecast_points (tag, unique_id, target_at);
CREATE INDEX ix_job_logs_job_id ON job_logs (job_id);
CREATE INDEX ix_monitors_connection_id ON monitors (connection_id);
CREATE INDEX ix_monitors_created_at ON monitors (created_at);
CREATE INDEX ix_monitors_due_at ON monitors (due_at);
CREATE INDEX ix_monitors_model_id ON monitors (model_id);
CREATE INDEX ix_monitors_owner_id ON monitors (owner_id);
CREATE INDEX ix_monitors_pipeline_id ON monitors (pipeline_id);
CREATE INDEX ix_monitors_state ON monitors (state);
CREATE INDEX ix_pipelines_created_at ON pipelines (created_at);
CREATE INDEX ix_pipelines_dataset_id ON pipelines (dataset_id);
CREATE INDEX ix_pipelines_owner_id ON pipelines (owner_id);
CREATE INDEX ix_models_created_at ON models (created_at);
CREATE INDEX ix_models_dataset_id ON models (dataset_id);
CREATE INDEX ix_models_family ON models (family);
CREATE INDEX ix_models_owner_id ON models (owner_id);
CREATE INDEX ix_models_pipeline_id ON models (pipeline_id);
CREATE INDEX ix_models_run_id ON models (run_id);
CREATE INDEX ix_models_status ON models (status);
CREATE INDEX ix_models_tag ON models (tag);
CREATE INDEX ix_models_trained_at ON models (trained_at);
CREATE INDEX ix_aliases_created_at ON aliases (created_at);
CREATE INDEX ix_aliases_owner_id ON aliases (owner_id);
CREATE INDEX ix_runs_created_at ON runs (created_at);
CREATE INDEX ix_runs_model_id ON runs (model_id);
CREATE INDEX ix_runs_owner_id ON runs (owner_id);
CREATE INDEX ix_runs_run_id ON runs (run_id);
CREATE INDEX ix_schedules_created_at ON schedules (created_at);
CREATE INDEX ix_schedules_model_id ON schedules (model_id);
CREATE INDEX ix_schedules_next_at ON schedules (next_at);
CREATE INDEX ix_schedules_owner_id ON schedules (owner_id);
CREATE INDEX ix_promotions_alias_id ON promotions (alias_id);
CREATE INDEX ix_promotions_created_at ON promotions (created_at);
DELETE FROM "sqlite_sequence";
COMMIT;