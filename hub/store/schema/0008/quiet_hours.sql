-- Quiet hours of a notification, as JSON (hub/quiet.py); NULL for none. `quiet_until` is until when they hold, or held, all of
-- it: hours that are the same for all phones hold a notification before its audience is looked for.
ALTER TABLE notification ADD COLUMN quiet TEXT;
ALTER TABLE notification ADD COLUMN quiet_until REAL;

-- Of a page that quiet hours hold, or held: until when, by the clocks of which time zones, and for how many registrations.
-- Until then it is in lane 2, without a service, and may be larger than a page that is sent: `quiet_service` is the service
-- that it is for. `quiet_fate` says of a page that nothing is sent of why that is (hub/quiet.py).
ALTER TABLE page ADD COLUMN quiet_until REAL;
ALTER TABLE page ADD COLUMN quiet_zones TEXT;
ALTER TABLE page ADD COLUMN quiet_count INTEGER;
ALTER TABLE page ADD COLUMN quiet_service TEXT;
ALTER TABLE page ADD COLUMN quiet_fate TEXT;
