create procedure shop.cancel_order(wanted bigint, reason text default null)
language plpgsql
as $$
begin
  update shop.orders set status = 'cancelled', notes = coalesce(reason, notes) where id = wanted;
end
$$;

-- Ends transactions by itself.
create procedure shop.forget_old_carts(before timestamptz)
language plpgsql
as $$
begin
  loop
    delete from shop.carts where id in (select id from shop.carts where started_at < before limit 1000);
    exit when not found;
    commit;
  end loop;
end
$$;
