-- Devices by the end of their push channel: operators search by the last characters of a handle, which a phone's developer sees.
CREATE INDEX device_by_channel_end ON device (hub, shard, substr(push_channel, length(push_channel) - 3), ordinal)
    WHERE installation_key IS NOT NULL;
