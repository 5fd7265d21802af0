"""The control tables of the monitoring: which stage was reached when, who was told what."""

# Names in these statements are constants.
# ruff: noqa: S608

from __future__ import annotations

from feedline.warehouse.names import FEED_STAGE, SLA_ALERT, SLA_FENCE

SLA_STATEMENTS = (
    f"""CREATE TABLE IF NOT EXISTS {FEED_STAGE} (
  FEED VARCHAR NOT NULL COMMENT 'The feed.',
  BUSINESS_DATE DATE NOT NULL COMMENT 'The business date.',
  CYCLE VARCHAR(8) NOT NULL COMMENT 'EOD or INTRADAY.',
  STAGE VARCHAR(9) NOT NULL COMMENT 'arrived, loaded or validated.',
  REACHED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When a delivery of the date first reached it.',
  DELIVERY_ID VARCHAR COMMENT 'That delivery, where it is known.',
  RECORDED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When the row was written.'
) COMMENT = 'When each feed first reached a stage; of several rows the earliest holds.'""",
    f"""CREATE TABLE IF NOT EXISTS {SLA_ALERT} (
  ALERT_ID VARCHAR(36) NOT NULL COMMENT 'The same for the same kind, feed, date, stage and, intraday, due time.',
  KIND VARCHAR(9) NOT NULL COMMENT 'late or recovered.',
  FEED VARCHAR NOT NULL COMMENT 'The feed, or the Dag of a cycle.',
  BUSINESS_DATE DATE NOT NULL COMMENT 'The business date.',
  STAGE VARCHAR(9) NOT NULL COMMENT 'arrived, loaded, validated, cycle or intraday.',
  DUE_AT TIMESTAMP_TZ NOT NULL COMMENT 'By when it was promised.',
  REACHED_AT TIMESTAMP_TZ COMMENT 'When it was reached; null while it was missing.',
  LATE_SECONDS NUMBER(19,0) NOT NULL COMMENT 'How late it was when the alert was made.',
  LINK VARCHAR COMMENT 'The run to look at.',
  DETAIL VARCHAR NOT NULL COMMENT 'What else the message says.',
  STATUS VARCHAR(8) NOT NULL COMMENT 'CLAIMED, SENT, FAILED (is sent again) or RECORDED (no channel is set up).',
  CHANNELS VARCHAR NOT NULL COMMENT 'The channels that took it, separated by commas.',
  REASON VARCHAR COMMENT 'Of a FAILED one: what the channels said.',
  CLAIM_ID VARCHAR(36) NOT NULL COMMENT 'The attempt that has it or had it last.',
  ATTEMPTS NUMBER(10,0) NOT NULL COMMENT 'How often it was claimed.',
  CREATED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When it was first claimed.',
  CLAIMED_AT TIMESTAMP_TZ NOT NULL COMMENT 'When it was last claimed.',
  SENT_AT TIMESTAMP_TZ COMMENT 'When every channel had taken it.'
) COMMENT = 'One row an alert or a recovery.'""",
    f"""CREATE TABLE IF NOT EXISTS {SLA_FENCE} (TURN NUMBER(19,0) NOT NULL)
COMMENT = 'Locked by the evaluation that is claiming alerts.'""",
    f"INSERT INTO {SLA_FENCE} (TURN) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM {SLA_FENCE})",
)
