-- The order of a chain's items where heights do not give it: runs of headers that fill a gap from its upper
-- end, and light-client objects. 0 for items that are in the order of their heights.
ALTER TABLE items ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
