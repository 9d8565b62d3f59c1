create statistics warehouse.moves_mcv (mcv) on site_id, kind from warehouse.stock_moves;
